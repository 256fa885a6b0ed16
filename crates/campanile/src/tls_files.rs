//! TLS of the listeners: certificate, key and the callers' authority, read from PEM files. TLS 1.2 and 1.3.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// `alpn` is what the listener speaks: `h2` or `http/1.1`. `None`: no certificate is set.
pub fn acceptor(tls: &Tls, alpn: &[u8]) -> Result<Option<TlsAcceptor>, String> {
    if tls.cert_file.is_empty() {
        return Ok(None);
    }
    let certificates = certificates("tls.cert_file", &tls.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key_file)
        .map_err(|e| format!("tls.key_file: {}: {e}", tls.key_file))?;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(ring.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("tls: {e}"))?;
    let builder = if tls.client_ca_file.is_empty() {
        builder.with_no_client_auth()
    } else {
        let roots = Arc::new(roots("tls.client_ca_file", &tls.client_ca_file)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, ring)
            .build()
            .map_err(|e| format!("tls.client_ca_file: {}: {e}", tls.client_ca_file))?;
        builder.with_client_cert_verifier(verifier)
    };
    let config = builder.with_single_cert(certificates, key);
    let mut config = config.map_err(|e| format!("tls.cert_file and tls.key_file do not fit: {e}"))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn certificates(field: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(Path::new(file))
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>());
    match read {
        Ok(certificates) if certificates.is_empty() => Err(format!("{field}: {file} holds no certificate")),
        Ok(certificates) => Ok(certificates),
        Err(e) => Err(format!("{field}: {file}: {e}")),
    }
}

fn roots(field: &str, file: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(field, file)? {
        roots.add(certificate).map_err(|e| format!("{field}: {file}: {e}"))?;
    }
    Ok(roots)
}
