"""The way to an agent and back.

upstream: one agent's address, its pooled connections, a call on one of them, the agent's answer.
headers: a caller's header section becomes the agent's, and the other way round; pure.
upload: the caller's body on its way to the agent.
relay: the agent's answer on its way to the caller.
forward: the handler at the heart of the ring; websocket: what becomes of it after a 101.
"""
