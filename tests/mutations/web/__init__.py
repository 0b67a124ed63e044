"""Mutation testing of the page's engine, `web/src/transport` and `web/src/state`, by Stryker."""
