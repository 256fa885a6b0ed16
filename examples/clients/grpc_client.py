"""Creates and activates a campaign and tells of an event, over gRPC: the server describes itself, so no code is generated.

    pip install -r requirements.txt && python grpc_client.py [HOST:PORT] [URL]
"""
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

server, url = (sys.argv[1:] + ["127.0.0.1:7070", "http://127.0.0.1:9000/bought"][len(sys.argv) - 1:])[:2]
channel = grpc.insecure_channel(server)
pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))


def call(service, name, request):
    method = pool.FindServiceByName(f"campanile.v1.{service}").methods_by_name[name]
    ask, answer = (message_factory.GetMessageClass(of) for of in (method.input_type, method.output_type))
    path = f"/campanile.v1.{service}/{name}"
    send = channel.unary_unary(path, request_serializer=ask.SerializeToString, response_deserializer=answer.FromString)
    return send(json_format.ParseDict(request, ask()), timeout=10)


call("CampaignService", "CreateCampaign", {"campaign": {
    "id": "from-python",
    "delivery": {"triggered": {"when": [{"event": "purchase", "where": "properties.total >= 500"}]}},
    "webhook": {"url": url, "data": [{"name": "total", "value": "{{ properties.total }}"}]},
}})
call("CampaignService", "ActivateCampaign", {"id": "from-python"})
call("EventService", "TrackEvents", {"events": [{"user_id": "mary", "name": "purchase", "properties": '{"total": 600}'}]})
print("next: campanile sends list --campaign from-python")
