"""A script: sorts a few letters, drafts an answer to what is urgent, and says what that cost.

export GATEWAYD_BASE_URL=http://127.0.0.1:8080 GATEWAYD_TOKEN=…      # `make run` prints both
python sdk/examples/script.py
"""

import sys

from gatewayd_sdk import Gateway, GatewayError, Pacer, QuotaExceededError

LETTERS = {
    "Invoice": "You charged my credit card twice. Please refund the second payment immediately, this is urgent!",
    "Meeting": "Can we reschedule our meeting to next Tuesday? No rush.",
    "Upgrade": "We are interested in the enterprise plan and would like a quote for 40 seats.",
}


def main() -> int:
    try:
        with Gateway(pacer=Pacer()) as gateway:
            sort(gateway)
    except QuotaExceededError as error:
        print(f"the {error.unit} of this month are used up ({error.used} of {error.limit}) until {error.resets_at}")
        return 1
    except GatewayError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def sort(gateway: Gateway) -> None:
    for subject, body in LETTERS.items():
        letter = gateway.email.process(body, subject=subject, sender="ann@example.org")
        print(f"{subject}: {letter.category}, {letter.urgency}, {letter.sentiment}")
        if letter.urgency == "high":
            draft = gateway.email.respond(letter.id, tone="friendly")
            print(draft.extra["body"])
    print("so far:", ", ".join(each.subject for each in gateway.email.history(category="billing")))
    for balance in gateway.usage.current().units:
        print(f"{balance.unit}: {balance.spent} spent, {balance.remaining} left")


if __name__ == "__main__":
    sys.exit(main())
