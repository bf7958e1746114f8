"""What type checkers must object to, each line that is marked and no other."""

import gatewayd_sdk as sdk


def blocking(gateway: sdk.Gateway) -> None:
    gateway.email.process(7)  # wrong
    gateway.email.respond("id", tone="rude")  # wrong
    gateway.email.process("text", "subject")  # wrong
    gateway.rag.chat("?", stream="yes")  # wrong
    print(gateway.rag.chat("?", stream=True).answer)  # wrong
    gateway.support.create_ticket("s", priority="whenever")  # wrong
    gateway.aiops.analyze({"cpu": ["high"]})  # wrong
    gateway.with_raw_response.email.process(1)  # wrong
    gateway.letters.process("text")  # wrong
    gateway.usage.current().user = "bob"  # wrong
