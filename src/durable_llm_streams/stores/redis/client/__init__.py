"""The Redis client: connections, pipelining, reconnecting, Cluster, Sentinel, Pub/Sub."""
