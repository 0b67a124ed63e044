export type { Backoff } from "./backoff.js";
export type { EndpointOptions, Resolvable } from "./endpoint.js";
export type { Clock, Environment, EnvironmentEvent } from "./environment.js";
export { hostEnvironment, systemClock } from "./environment.js";
export type { ErrorKind, Problem } from "./errors.js";
export { refusal, TransportError } from "./errors.js";
export type { ConnectionState, Phase } from "./state.js";
export type { ResumableChatTransportOptions } from "./transport.js";
export { ResumableChatTransport } from "./transport.js";
