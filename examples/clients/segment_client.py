"""Tells of a user and an event with Segment's own library, pointed at Campanile by its host.

    campanile campaign apply -f ../first.yaml --activate
    pip install -r requirements.txt && python segment_client.py [URL]
"""
import sys

from segment.analytics import Client

host = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:7072"
analytics = Client("any write key", host=host)
analytics.identify("mary", {"name": "Mary", "email": "mary@example.com"})
analytics.track("mary", "purchase", {"total": 600})
analytics.shutdown()
print("next: campanile sends list --user mary")
