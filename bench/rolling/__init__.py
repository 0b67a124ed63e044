"""A rolling restart under load: how long readers wait, and which text was sent twice."""
