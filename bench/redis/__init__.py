"""The Redis store, beside the npm package `resumable-stream` that does the same job."""
