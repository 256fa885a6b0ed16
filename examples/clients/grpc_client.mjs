// Creates and activates a campaign and tells of an event, over gRPC, by the files in proto/.
//
//     npm install && node grpc_client.mjs [HOST:PORT] [URL]
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [server = "127.0.0.1:7070", url = "http://127.0.0.1:9000/bought"] = process.argv.slice(2);
const files = ["campaign_service", "event_service"].map((name) => `campanile/v1/${name}.proto`);
const includeDirs = [fileURLToPath(new URL("../../proto", import.meta.url))];
const { v1 } = grpc.loadPackageDefinition(loader.loadSync(files, { includeDirs })).campanile;

function client(service) {
  const made = new v1[service](server, grpc.credentials.createInsecure());
  return (name, request) => promisify(made[name]).call(made, request);
}

const campaigns = client("CampaignService");
const events = client("EventService");
await campaigns("CreateCampaign", { campaign: {
  id: "from-node",
  delivery: { triggered: { when: [{ event: "purchase", where: "properties.total >= 500" }] } },
  webhook: { url, data: [{ name: "total", value: "{{ properties.total }}" }] },
} });
await campaigns("ActivateCampaign", { id: "from-node" });
await events("TrackEvents", { events: [{ userId: "mary", name: "purchase", properties: '{"total": 600}' }] });
console.log("next: campanile sends list --campaign from-node");
