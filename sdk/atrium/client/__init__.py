"""Call a capability through the gateway.

from atrium.client import Client

client = Client("digits", key="atk_…")
answer = client.infer({"image": pixels})
answer["class"]        # [7]
client.feedback(answer.request_id, correct=False, expected={"class": 1})
"""

from atrium.client.inference import AsyncClient, Client, Prediction

__all__ = ["AsyncClient", "Client", "Prediction"]
