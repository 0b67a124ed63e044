"""`web`: the interface as it was built, in Chromium, on a server of its own.

The answers come from `source`, which gets its script from the question. `record.js` is in every
page and notes what the browser itself reports: frames, long tasks, layout shifts, paints, keys.
"""
