"""Five small agents that do real work without a model or the network, so that a gateway has something behind it.

They import nothing else of gatewayd: to it they are upstreams like any other.
"""
