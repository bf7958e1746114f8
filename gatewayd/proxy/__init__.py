"""The way to an agent and back.

rule: a route's settings as the proxy needs them; balance: which of the agent's addresses is next.
upstream: one address and its pooled connections; call: a call on one; answer and body: what comes back, judged.
headers: a caller's header section becomes the agent's, and the other way round; pure.
upload: the caller's body on its way to the agent.
relay: the agent's answer on its way to the caller; tunnel and websocket: what becomes of it after a 101.
forward: the handler at the heart of the ring, which brings them together.
"""
