"""The campaign: real processes, killed by the thousand; nothing may be lost, doubled or mixed up.

`python -m tests.crash` kills servers over Redis and over SQLite while people ask, read and stop,
and compares everything that anybody was told with the logs. `python -m tests.crash races` lets
stops fall into the middle of writes. `campaign` tells how it goes, `oracle` what must hold.
"""
