// Tells of a user and an event with RudderStack's own library, pointed at Campanile by its data plane URL.
//
//     campanile campaign apply -f ../first.yaml --activate
//     npm install && node rudderstack_client.mjs [URL]
import RudderAnalytics from "@rudderstack/rudder-sdk-node";

const dataPlaneUrl = process.argv[2] ?? "http://127.0.0.1:7072";
const analytics = new RudderAnalytics("any write key", { dataPlaneUrl });
analytics.identify({ userId: "mary", traits: { name: "Mary", email: "mary@example.com" } });
analytics.track({ userId: "mary", event: "purchase", properties: { total: 600 } });
await analytics.flush();
console.log("next: campanile sends list --user mary");
