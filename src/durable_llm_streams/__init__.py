"""LLM answers that survive a reload, a cut network, another device, a killed server, a deploy."""
