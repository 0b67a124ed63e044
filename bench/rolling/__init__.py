"""A rolling restart under load: how long readers wait, and what was said twice."""
