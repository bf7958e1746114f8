"""What customers say is understood."""

import pytest

from gatewayd.demo.intents import INTENTS, LEXICON, UNKNOWN


@pytest.mark.parametrize(
    ("message", "intent"),
    [
        ("Please open a ticket", "human"),
        ("I want to talk to a real person", "human"),
        ("Your API is down, every call is a 503", "outage"),
        ("I forgot my password and cannot log in", "access"),
        ("Where is my refund? I was charged twice", "billing"),
        ("I got a 429, what is my rate limit?", "quota"),
        ("Cancel everything and close my account", "cancellation"),
        ("Where is my package, do you have a tracking number?", "delivery"),
        ("Thanks, it works now", "thanks"),
        ("Hello!", "greeting"),
        ("Colourless green ideas sleep", UNKNOWN),
    ],
)
def test_a_message_has_its_intent(message: str, intent: str) -> None:
    assert LEXICON.judge(message).label == intent


@pytest.mark.parametrize("name", INTENTS)
def test_every_intent_has_a_reply_and_an_action(name: str) -> None:
    assert INTENTS[name].reply
    assert INTENTS[name].action
