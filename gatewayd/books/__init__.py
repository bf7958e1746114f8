"""Exact money with many processes: workers spend from leases and keep journals, one bookkeeper keeps the ledger.

A worker asks the bookkeeper for units (`Lease`) and then serves holds without asking anybody. What it does is in
its journal before it is done, so nothing is lost with it. The bookkeeper leases units from the database for the
whole daemon, reads the journals and posts them.
"""
