"""What everything else speaks in: messages, events, requests, errors. Imports nothing of ours."""
