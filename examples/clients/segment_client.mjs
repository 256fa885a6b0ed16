// Tells of a user and an event with Segment's own library, pointed at Campanile by its host.
//
//     campanile campaign apply -f ../first.yaml --activate
//     npm install && node segment_client.mjs [URL]
import { Analytics } from "@segment/analytics-node";

const analytics = new Analytics({ writeKey: "any write key", host: process.argv[2] ?? "http://127.0.0.1:7072" });
analytics.on("error", (error) => { throw new Error(JSON.stringify(error)); });
analytics.identify({ userId: "mary", traits: { name: "Mary", email: "mary@example.com" } });
analytics.track({ userId: "mary", event: "purchase", properties: { total: 600 } });
await analytics.closeAndFlush();
console.log("next: campanile sends list --user mary");
