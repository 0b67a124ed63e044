"""What providers, servers and gateways really answer when they fail, and what it means."""

# ruff: noqa: E501  (the wordings stand as they came)

from __future__ import annotations

import json
from typing import Any, Final


def openai(message: str, **more: Any) -> str:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", **more}})


def wrapped(raw: Any, code: int = 400, message: str = "Provider returned error") -> str:
    """OpenRouter's error round another provider's."""
    metadata = {"raw": raw, "provider_name": "Provider"}
    return json.dumps({"error": {"message": message, "code": code, "metadata": metadata}})


def google(code: int, status: str, message: str, details: list[Any] | None = None) -> str:
    error = {"code": code, "message": message, "status": status, "details": details or []}
    return json.dumps([{"error": error}])


RETRY_34: Final = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
PER_DAY: Final = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}
QUOTA: Final = "You exceeded your current quota, please check your plan and billing details."
TEMPLATE: Final = (
    "\n------------\nWhile executing CallExpression at line 19, column 27 in source:\n"
    '...% 2 == 0) -%}        {{ raise_exception("{}...\n          ^\nError: Jinja Exception: {}'
)


def template(message: str) -> str:
    text = TEMPLATE.replace("{}", message[:40], 1).replace("{}", message, 1)
    return json.dumps({"error": {"code": 500, "message": text, "type": "server_error"}})


# status of the answer (200: a success that is none), body, meaning
WORDINGS: Final[list[tuple[int, str, str]]] = [
    # the conversation is longer than the model reads
    (400, openai("x", code="context_length_exceeded"), "too-long"),
    (
        400,
        openai(
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (1000 in the messages, 8000 in the completion). Please reduce the length of the messages or completion."
        ),
        "too-long",
    ),
    (400, openai("Your input exceeds the context window of this model."), "too-long"),
    (
        400,
        openai(
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 150000 tokens."
        ),
        "too-long",
    ),
    (
        400,
        '{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 208310 tokens > 200000 maximum"}}',
        "too-long",
    ),
    (
        400,
        openai(
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or `max_tokens` and try again"
        ),
        "too-long",
    ),
    (
        413,
        '{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}',
        "too-long",
    ),
    (
        400,
        google(
            400,
            "INVALID_ARGUMENT",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048575).",
        ),
        "too-long",
    ),
    (
        400,
        google(400, "INVALID_ARGUMENT", "input token count exceeds the maximum number of tokens"),
        "too-long",
    ),
    (
        400,
        '{"code":"invalid-argument","error":"This model\'s maximum prompt length is 131072 but the request contains 537812 tokens."}',
        "too-long",
    ),
    (400, '{"message":"Input is too long for requested model."}', "too-long"),
    (
        400,
        '{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}',
        "too-long",
    ),
    (
        500,
        '{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}',
        "too-long",
    ),
    (
        200,
        '{"error":{"message":"The number of tokens to keep from the initial prompt is greater than the context length."}}',
        "too-long",
    ),
    (
        400,
        '{"error":"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens"}',
        "too-long",
    ),
    (
        400,
        '{"object":"error","message":"The input (8000 tokens) is longer than the model\'s context length (4096 tokens).","type":"BadRequestError","param":null,"code":400}',
        "too-long",
    ),
    (
        400,
        '{"object":"error","message":"Input length (8000 tokens) exceeds the maximum allowed length (4095 tokens).","code":400}',
        "too-long",
    ),
    (
        400,
        '{"object":"error","message":"max_tokens must be at least 1, got -2048.","type":"BadRequestError","code":400}',
        "too-long",
    ),
    (
        422,
        '{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens and 100 `max_new_tokens`","error_type":"validation"}',
        "too-long",
    ),
    (
        422,
        '{"error":"Input validation error: `inputs` must have less than 4096 tokens. Given: 5000"}',
        "too-long",
    ),
    (
        400,
        '{"message":"too many tokens: total number of tokens in the prompt cannot exceed 4081"}',
        "too-long",
    ),
    (
        400,
        openai("Range of input length should be [1, 129024]", code="invalid_parameter_error"),
        "too-long",
    ),
    (
        400,
        openai(
            "Invalid request: Your request exceeded model token limit: 262144 (requested: 283441)"
        ),
        "too-long",
    ),
    (
        400,
        '{"error":{"message":"prompt token count of 140000 exceeds the limit of 128000","code":"model_max_prompt_tokens_exceeded"}}',
        "too-long",
    ),
    (
        413,
        '{"error":{"code":"tokens_limit_reached","message":"Request body too large for gpt-4o model. Max size: 8000 tokens."}}',
        "too-long",
    ),
    (
        400,
        '{"object":"error","message":"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length","type":"context_length_exceeded","code":"3051"}',
        "too-long",
    ),
    (400, '{"error":{"code":"1261","message":"Prompt exceeds max length"}}', "too-long"),
    (
        400,
        '{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: context","type":null,"code":"400"}}',
        "too-long",
    ),
    (502, wrapped('{"error":{"message":"prompt is too long: 1 > 0"}}', 502), "too-long"),
    (400, wrapped({"error": {"message": "Please reduce the length of the messages."}}), "too-long"),
    (
        429,
        openai(
            "Request too large for gpt-4 in organization org-x on tokens per min (TPM): Limit 10000, Requested 12000. The input or output tokens must be reduced in order to run successfully.",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        "too-long",
    ),
    (
        429,
        openai(
            "Rate limit reached for model `llama3-70b-8192` on tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903. Please try again in 50.597142857s.",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        "too-long",
    ),
    (
        413,
        openai(
            "Request too large for model `x` in organization `org` on tokens per minute (TPM): Limit 6000, Requested 8000, please reduce your message size and try again.",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        "too-long",
    ),
    (
        429,
        '{"type":"error","error":{"type":"rate_limit_error","message":"Extra usage is required for long context requests."}}',
        "too-long",
    ),
    (413, "<html><head><title>413 Request Entity Too Large</title></head></html>", "too-long"),
    # money
    (
        402,
        '{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}',
        "no-credit",
    ),
    (
        402,
        '{"error":{"message":"This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 3919.","code":402}}',
        "no-credit",
    ),
    (402, "", "no-credit"),
    (429, openai(QUOTA, type="insufficient_quota", code="insufficient_quota"), "no-credit"),
    (
        429,
        openai(
            "Your account is not active, please check your billing details on our website.",
            code="billing_not_active",
        ),
        "no-credit",
    ),
    (
        400,
        openai("Billing hard limit has been reached", code="billing_hard_limit_reached"),
        "no-credit",
    ),
    (
        400,
        '{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}',
        "no-credit",
    ),
    (
        429,
        '{"code":"Some resource has been exhausted","error":"Your team 16f2151a has either used all available credits or reached its monthly spending limit. To continue making API requests, please purchase more credits or raise your spending limit."}',
        "no-credit",
    ),
    (
        403,
        '{"code":"permission-denied","error":"You have run out of credits or need a Grok subscription."}',
        "no-credit",
    ),
    (
        429,
        '{"error":{"message":"Your account is suspended due to insufficient balance, please recharge your account","type":"exceeded_current_quota_error"}}',
        "no-credit",
    ),
    (429, '{"error":{"code":"1113","message":"余额不足或无可用资源包,请充值。"}}', "no-credit"),
    (
        400,
        '{"error":{"message":"Access denied, please make sure your account is in good standing.","type":"Arrearage","code":"Arrearage"}}',
        "no-credit",
    ),
    (
        402,
        '{"error":"You have exceeded your monthly included credits for Inference Providers."}',
        "no-credit",
    ),
    # the key's own limit
    (
        403,
        '{"error":{"message":"Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys","code":403}}',
        "key-limit",
    ),
    (403, '{"error":{"message":"Key limit exceeded (daily limit).","code":403}}', "key-limit"),
    (
        400,
        '{"error":{"message":"Budget has been exceeded! Current cost: 10.1, Max budget: 10.0","type":"budget_exceeded","param":null,"code":"400"}}',
        "key-limit",
    ),
    # limits for now
    (429, "", "rate-now"),
    (429, '{"message":"Requests rate limit exceeded"}', "rate-now"),
    (
        429,
        openai(
            "Rate limit reached for gpt-4 in organization org-x on tokens per min (TPM): Limit 10000, Used 9500, Requested 700. Please try again in 1.2s.",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        "rate-now",
    ),
    (
        429,
        openai(
            "Rate limit reached for model `llama-3.3-70b-versatile` on tokens per minute (TPM): Limit 12000, Used 4437, Requested 9854. Please try again in 11.455s. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"
        ),
        "rate-now",
    ),
    (429, google(429, "RESOURCE_EXHAUSTED", QUOTA, [RETRY_34]), "rate-now"),
    (200, '[{"error":{"code":429,"message":"Resource exhausted"}}]', "rate-now"),
    (200, '{"error":{"code":"429","message":"x"}}', "rate-now"),
    (
        429,
        wrapped(
            "x/y is temporarily rate-limited upstream. Please retry shortly, or add your own key",
            429,
        ),
        "rate-now",
    ),
    (500, '{"error":{"message":"Rate limit exceeded","type":"rate_limit_error"}}', "rate-now"),
    (
        400,
        '{"__type":"ThrottlingException","message":"Too many tokens, please wait before trying again."}',
        "rate-now",
    ),
    (429, "error code: 1015", "rate-now"),
    (200, "{\"error\":\"Error code: 429 - {'error': {'message': 'slow down'}}\"}", "rate-now"),
    (502, wrapped('{"error":{"code":429,"message":"slow down"}}', 502), "rate-now"),
    (
        429,
        '{"message":"You are using a Trial key, which is limited to 20 API calls / minute."}',
        "rate-now",
    ),
    # limits for a long time
    (
        429,
        '{"error":{"message":"Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day","code":429}}',
        "rate-long",
    ),
    (
        429,
        openai(
            "Rate limit reached for model `x` on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. Please try again in 9m38.016s.",
            code="rate_limit_exceeded",
        ),
        "rate-long",
    ),
    (429, google(429, "RESOURCE_EXHAUSTED", QUOTA, [PER_DAY, RETRY_34]), "rate-long"),
    (
        429,
        '{"message":"You are using a Trial key, which is limited to 1000 API calls / month."}',
        "rate-long",
    ),
    (
        429,
        '{"error":{"code":"RateLimitReached","message":"Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 50000 seconds before retrying."}}',
        "rate-long",
    ),
    (
        400,
        '{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-04-01 at 00:00 UTC."}}',
        "rate-long",
    ),
    (429, '{"message":"Too many tokens per day, please wait before trying again."}', "rate-long"),
    (
        429,
        '{"error":"you (me) have reached your weekly usage limit, upgrade for higher limits"}',
        "rate-long",
    ),
    # the key
    (401, openai("Incorrect API key provided: sk-abc***xyz.", code="invalid_api_key"), "bad-key"),
    (401, "<html><body><h1>401 Authorization Required</h1></body></html>", "bad-key"),
    (401, '{"error":"Unauthorized"}', "bad-key"),
    (401, "", "bad-key"),
    (401, '{"error":{"message":"User not found.","code":401}}', "bad-key"),
    (
        400,
        google(
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            [{"reason": "API_KEY_INVALID"}],
        ),
        "bad-key",
    ),
    (400, google(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."), "bad-key"),
    (
        400,
        '{"code":"Client specified an invalid argument","error":"Incorrect API key provided: na***ys. You can obtain an API key from https://console.x.ai."}',
        "bad-key",
    ),
    (
        403,
        google(
            403,
            "PERMISSION_DENIED",
            "Your API key was reported as leaked. Please use another API key.",
        ),
        "bad-key",
    ),
    (403, '{"message":"Missing Authentication Token"}', "bad-key"),
    (
        401,
        '{ "statusCode": 401, "message": "Access denied due to missing subscription key." }',
        "bad-key",
    ),
    (
        400,
        '{"message":"The security token included in the request is expired","__type":"ExpiredTokenException"}',
        "bad-key",
    ),
    (
        500,
        '{"error":{"message":"litellm.AuthenticationError: no","type":"AuthenticationError"}}',
        "bad-key",
    ),
    # the model
    (
        404,
        openai(
            "The model `gpt-9` does not exist or you do not have access to it.",
            code="model_not_found",
        ),
        "no-model",
    ),
    (
        404,
        '{"error":{"message":"model \\"gpt-5-mini\\" not found, try pulling it first"}}',
        "no-model",
    ),
    (404, '{"error":"model \'llama9\' not found"}', "no-model"),
    (
        404,
        '{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}',
        "no-model",
    ),
    (
        404,
        google(
            404,
            "NOT_FOUND",
            "models/gemini-9 is not found for API version v1main, or is not supported for generateContent.",
        ),
        "no-model",
    ),
    (400, '{"error":{"message":"foo/bar is not a valid model ID","code":400}}', "no-model"),
    (404, '{"error":{"message":"No endpoints found for foo/bar:free.","code":404}}', "no-model"),
    (
        404,
        '{"error":{"message":"No endpoints found that support image input","code":404}}',
        "no-model",
    ),
    (
        400,
        '{"object":"error","message":"Invalid model: foo","type":"invalid_model","param":null,"code":"1500"}',
        "no-model",
    ),
    (400, openai("Model Not Exist"), "no-model"),
    (
        400,
        openai(
            "The model `x` has been decommissioned and is no longer supported.",
            code="model_decommissioned",
        ),
        "no-model",
    ),
    (
        404,
        '{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}',
        "no-model",
    ),
    (
        404,
        '{"error":{"message":"No models loaded. Please load a model in the developer page or use the `lms load` command.","code":"model_not_found"}}',
        "no-model",
    ),
    (
        400,
        '{"error":{"message":"{\'error\': \'/chat/completions: Invalid model name passed in model=x. Call `/v1/models` to view available models for your key.\'}","code":"400"}}',
        "no-model",
    ),
    (
        404,
        openai(
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint."
        ),
        "no-model",
    ),
    (
        404,
        '{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}',
        "no-model",
    ),
    (400, '{"message":"The provided model identifier is invalid."}', "no-model"),
    (
        403,
        openai("Project `proj_x` does not have access to model `o9`", code="model_not_found"),
        "no-model",
    ),
    (
        500,
        '{"error":"model requires more system memory (5.5 GiB) than is available (3.9 GiB)"}',
        "no-model",
    ),
    # the address
    (404, "404 page not found", "wrong-address"),
    (404, "", "wrong-address"),
    (404, "Not Found", "wrong-address"),
    (404, '{"detail":"Not Found"}', "wrong-address"),
    (404, "<!DOCTYPE html><title>404: the model of a page</title>", "wrong-address"),
    (404, openai("Invalid URL (POST /v1/v1/chat/completions)", code=None), "wrong-address"),
    (
        404,
        '{"error":{"message":"Unknown request URL: POST /openai/chat/completions.","code":"unknown_url"}}',
        "wrong-address",
    ),
    (404, '{"error":{"code":"404","message":"Resource not found"}}', "wrong-address"),
    (
        404,
        '{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}',
        "wrong-address",
    ),
    (
        404,
        '{"message":"Cannot POST /chat/completions","error":"Not Found","statusCode":404}',
        "wrong-address",
    ),
    (
        404,
        '{"timestamp":"x","status":404,"error":"Not Found","path":"/chat/completions"}',
        "wrong-address",
    ),
    (200, '{"error":"Unexpected endpoint or method. (POST /chat/completions)"}', "wrong-address"),
    (405, '{"detail":"Method Not Allowed"}', "wrong-address"),
    (405, "", "wrong-address"),
    (
        400,
        "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>",
        "wrong-address",
    ),
    # what may not be said
    (
        403,
        '{"error":{"message":"x requires moderation on OpenAI. Your input was flagged for \\"violence\\".","code":403,"metadata":{"reasons":["violence"],"flagged_input":"y","provider_name":"OpenAI"}}}',
        "refused-content",
    ),
    (
        400,
        '{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI\'s content management policy.","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}',
        "refused-content",
    ),
    (
        400,
        openai(
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
            code="invalid_prompt",
        ),
        "refused-content",
    ),
    (400, openai("Content Exists Risk"), "refused-content"),
    (
        400,
        '{"error":{"code":"data_inspection_failed","message":"Input data may contain inappropriate content."}}',
        "refused-content",
    ),
    (
        400,
        '{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}',
        "refused-content",
    ),
    (
        403,
        '{"code":"permission-denied","error":"Content violates usage guidelines."}',
        "refused-content",
    ),
    (400, '{"error":{"code":"1301","message":"x"}}', "refused-content"),
    # verification, region, plan
    (
        400,
        openai(
            "Your organization must be verified to stream this model. Please go to: https://platform.openai.com/settings and click on Verify Organization.",
            param="stream",
            code="unsupported_value",
        ),
        "unverified",
    ),
    (
        403,
        openai(
            "Country, region, or territory not supported",
            code="unsupported_country_region_territory",
        ),
        "not-allowed",
    ),
    (
        400,
        google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
        "not-allowed",
    ),
    (
        403,
        '{"type":"error","error":{"type":"permission_error","message":"Your API key does not have permission to use the specified resource."}}',
        "not-allowed",
    ),
    (
        403,
        "<!DOCTYPE html><title>Attention Required! | Cloudflare</title><p>invalid api key</p>",
        "not-allowed",
    ),
    (403, "", "not-allowed"),
    (451, "", "not-allowed"),
    (
        429,
        google(
            429,
            "RESOURCE_EXHAUSTED",
            QUOTA
            + " * Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 0, model: gemini-3-pro Please retry in 5.2s.",
            [RETRY_34],
        ),
        "not-allowed",
    ),
    # fields
    (
        422,
        '{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options","include_usage"],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error"}',
        "unsupported",
    ),
    (400, openai("stream_options: Extra inputs are not permitted", code=None), "unsupported"),
    (
        400,
        openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        ),
        "unsupported",
    ),
    (
        400,
        openai(
            "max_tokens is too large: 32768. This model supports at most 16384 completion tokens, whereas you provided 32768."
        ),
        "unsupported",
    ),
    (
        400,
        '{"object":"error","message":"\'max_tokens\' or \'max_completion_tokens\' is too large: 8192. This model\'s maximum context length is 8192 tokens and your request has 100 input tokens (8192 > 8192 - 100).","code":400}',
        "unsupported",
    ),
    (
        400,
        openai(
            "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude-x"
        ),
        "unsupported",
    ),
    (400, 'json: unknown field "stream_options"', "unsupported"),
    # roles
    (
        400,
        '{"error":{"message":"Conversation roles must alternate user/assistant/user/assistant/...","code":400}}',
        "roles",
    ),
    (500, template("Conversation roles must alternate user/assistant/user/assistant/..."), "roles"),
    (400, '{"object":"error","message":"System role not supported","code":400}', "roles"),
    (
        400,
        google(
            400,
            "INVALID_ARGUMENT",
            "Developer instruction is not enabled for models/gemma-3-27b-it",
        ),
        "roles",
    ),
    (
        400,
        openai(
            "deepseek-reasoner does not support successive user or assistant messages (messages[1] and messages[2] in your input). You should interleave the user/assistant messages in the message sequence."
        ),
        "roles",
    ),
    (
        400,
        openai(
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
            param="messages[0].role",
            code="unsupported_value",
        ),
        "roles",
    ),
    # a partial answer at the end
    (
        400,
        '{"type":"error","error":{"type":"invalid_request_error","message":"This model does not support assistant message prefill. The conversation must end with a user message."}}',
        "prefill",
    ),
    (400, wrapped("This model does not support assistant message prefill."), "prefill"),
    (
        404,
        '{"error":{"code":404,"message":"No endpoints found that support assistant prefill"}}',
        "prefill",
    ),
    (
        400,
        '{"object":"error","message":"Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant","type":"invalid_request_message_order","param":null,"code":"3230"}',
        "prefill",
    ),
    (
        400,
        '{"error":{"code":400,"message":"Assistant response prefill is incompatible with enable_thinking.","type":"invalid_request_error"}}',
        "prefill",
    ),
    (
        400,
        '{"error":{"message":"Cannot have 2 or more assistant messages at the end of the list."}}',
        "prefill",
    ),
    (
        400,
        '{"object":"error","message":"continue_final_message is set but the final message does not appear in the chat after applying the chat template!","code":400}',
        "prefill",
    ),
    (
        400,
        '{"error":{"message":"Last message must have role `user`","type":"invalid_message","code":400}}',
        "prefill",
    ),
    (
        422,
        '{"detail":[{"type":"extra_forbidden","loc":["body","messages",2,"assistant","prefix"],"msg":"Extra inputs are not permitted","input":true}]}',
        "prefill",
    ),
    (
        400,
        openai(
            "Your API request included an `assistant` message in the final position, which would pre-fill the `assistant` response."
        ),
        "prefill",
    ),
    # refused otherwise
    (400, "", "refused"),
    (400, openai("messages.0.content: Input should be a valid string"), "refused"),
    (418, "", "refused"),
    (
        422,
        '{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required","input":{"content":"context length"}}]}',
        "refused",
    ),
    (
        501,
        '{"error":{"code":501,"message":"This server does not do that.","type":"not_supported_error"}}',
        "refused",
    ),
    (204, "", "refused"),
    (500, template("System message must be at the beginning."), "refused"),
    (302, "", "moved"),
    # too much to do
    (
        503,
        '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}',
        "overloaded",
    ),
    (
        529,
        '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
        "overloaded",
    ),
    (
        200,
        '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
        "overloaded",
    ),
    (
        503,
        google(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
        "overloaded",
    ),
    (
        429,
        '{"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","code":"3505"}',
        "overloaded",
    ),
    (
        503,
        '{"error":"server busy, please try again.  maximum pending requests exceeded"}',
        "overloaded",
    ),
    (
        503,
        "upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
        "overloaded",
    ),
    (
        500,
        '{"error":{"message":"The engine is currently overloaded, please try again later"}}',
        "overloaded",
    ),
    # too slow
    (408, "", "slow"),
    (
        504,
        google(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
        "slow",
    ),
    (524, "error code: 524", "slow"),
    (
        500,
        '{"error":{"message":"litellm.Timeout: Connection timed out after 600 seconds."}}',
        "slow",
    ),
    (200, '{"error":{"message":"Request timed out"}}', "slow"),
    # broken
    (500, "Internal Server Error", "broken"),
    (
        502,
        "<html><title>502 Bad Gateway</title><p>rate limit, overloaded, timed out</p></html>",
        "broken",
    ),
    (520, "error code: 520", "broken"),
    (500, '{"error":"llama runner process has terminated: exit status 2"}', "broken"),
    (409, "", "broken"),
    (424, '{"message":"The model has an error."}', "broken"),
    (200, '{"error":{"message":"Something went wrong"}}', "broken"),
    # no stream at all
    (200, "<html><title>Welcome</title><p>Invalid API key</p></html>", "not-a-stream"),
    (200, "Ollama is running", "not-a-stream"),
    (200, '{"status":"ok"}', "not-a-stream"),
    (200, '{"message":"Hello"}', "not-a-stream"),
    # more of the same kinds
    (
        400,
        openai(
            "This model's maximum context length is 4097 tokens, however you requested 5000 tokens (1000 in your prompt; 4000 for the completion). Please reduce your prompt; or completion length."
        ),
        "too-long",
    ),
    (
        400,
        openai("The total number of tokens in the prompt and completion exceeds the limit"),
        "too-long",
    ),
    (
        400,
        '{"error":{"message":"Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.","code":"context_length_exceeded"}}',
        "too-long",
    ),
    (
        400,
        '{"error":{"code":400,"message":"request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error"}}',
        "too-long",
    ),
    (
        400,
        '{"message":"The model returned the following errors: Input is too long for requested model."}',
        "too-long",
    ),
    (
        400,
        '{"error":{"message":"{\\"message\\":\\"The model returned the following errors: prompt is too long: 200500 tokens > 199999 maximum\\"}","code":400}}',
        "too-long",
    ),
    (
        400,
        '{"error":{"object":"error","type":"invalid_request_error","message":"The prompt is too long: 210000, model maximum context length: 131071"}}',
        "too-long",
    ),
    (500, '{"error":"context length exceeded"}', "too-long"),
    (400, '{"error":"input length exceeds maximum context length"}', "too-long"),
    (400, '{"error":{"message":"context window exceeds limit (2013)"}}', "too-long"),
    (
        400,
        '{"error":{"message":"Requested token count exceeds the model\'s maximum context length of 32768 tokens. You requested a total of 40000 tokens: 30000 tokens from the input messages and 10000 tokens for the completion."}}',
        "too-long",
    ),
    (413, '{"error":{"message":"Payload Too Large"}}', "too-long"),
    (
        400,
        '{"error":{"code":"string_above_max_length","message":"Invalid \'messages[1].content\': string too long. Expected a string with maximum length 1048576"}}',
        "too-long",
    ),
    (400, openai("Token limit exceeded: your request has 9000 tokens"), "too-long"),
    (
        429,
        '{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-06-01 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds. Please contact Azure support service if you would like to further increase the default rate limit."}}',
        "rate-now",
    ),
    (
        429,
        '{"error":{"code":"429","message":"... have exceeded call rate limit ... Please retry after 86400 seconds."}}',
        "rate-long",
    ),
    (
        429,
        '{ "statusCode": 429, "message": "Rate limit is exceeded. Try again in 30 seconds." }',
        "rate-now",
    ),
    (
        429,
        '{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization\'s rate limit of 30,000 input tokens per minute. For details, refer to: https://docs.anthropic.com/en/api/rate-limits; see the response headers for current usage. Please reduce the prompt length or the maximum tokens requested, or try again later."}}',
        "rate-now",
    ),
    (
        429,
        '{"type":"error","error":{"type":"rate_limit_error","message":"Number of request tokens has exceeded your daily rate limit"}}',
        "rate-long",
    ),
    (
        429,
        '{"error":{"message":"litellm.RateLimitError: No deployments available for selected model, Try again in 60 seconds. Passed model=x","type":"None","code":"429"}}',
        "rate-now",
    ),
    (
        429,
        '{"code":"Some resource","error":"Too many requests for team x and model grok-4. Your team\'s rate limit is - Requests per Minute (actual/limit): 61/60."}',
        "rate-now",
    ),
    (
        429,
        openai(
            "Tokens per minute limit exceeded - too many tokens processed.",
            type="too_many_tokens_error",
            code="token_quota_exceeded",
        ),
        "rate-now",
    ),
    (
        429,
        openai(
            "Requests per day limit exceeded - too many requests sent.",
            code="request_quota_exceeded",
        ),
        "rate-long",
    ),
    (
        429,
        openai(
            "We're experiencing high traffic right now! Please try again soon.",
            code="queue_exceeded",
        ),
        "overloaded",
    ),
    (
        429,
        openai(
            "That model is currently overloaded with other requests. You can retry your request"
        ),
        "overloaded",
    ),
    (503, "no healthy upstream", "overloaded"),
    (
        503,
        '{"error":"Model meta-llama/x is currently loading","estimated_time":20.0}',
        "overloaded",
    ),
    (
        500,
        '{"error":{"message":"Model is overloaded, please wait","type":"internal"}}',
        "overloaded",
    ),
    (
        401,
        '{"error":{"message":"Authentication Error, LiteLLM Virtual Key expected.","type":"auth_error","param":"None","code":"401"}}',
        "bad-key",
    ),
    (
        401,
        '{"error":{"message":"key not allowed to access model. This key can only access models=[\'a\']. Tried to access b","type":"key_model_access_denied","param":"model","code":"401"}}',
        "no-model",
    ),
    (
        401,
        '{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."}}',
        "bad-key",
    ),
    (
        403,
        '{"error":{"code":"403","message":"Access denied due to Virtual Network/Firewall rules."}}',
        "not-allowed",
    ),
    (
        403,
        '{"error":{"code":403,"message":"Permission denied: Consumer has been suspended.","status":"PERMISSION_DENIED"}}',
        "not-allowed",
    ),
    (
        403,
        '{"error":{"code":403,"message":"Generative Language API has not been used in project 1 before or it is disabled.","status":"PERMISSION_DENIED"}}',
        "not-allowed",
    ),
    (
        403,
        '{"error":{"code":403,"message":"Method doesn\'t allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.","status":"PERMISSION_DENIED"}}',
        "bad-key",
    ),
    (403, '{"error":{"message":"The api_key is invalid.","code":403}}', "bad-key"),
    (403, "Forbidden", "not-allowed"),
    (
        404,
        '{"error":{"message":"No endpoints found matching your data policy (Free model training). Configure: https://openrouter.ai/settings/privacy","code":404}}',
        "no-model",
    ),
    (
        400,
        '{"error":{"message":"The requested model \'x\' is not supported by any provider you have enabled.","code":"model_not_supported"}}',
        "no-model",
    ),
    (
        404,
        '{"error":{"message":"Model not found, inaccessible, and/or not deployed","code":"NOT_FOUND","param":"model"}}',
        "no-model",
    ),
    (
        404,
        '{"id":"x","error":{"message":"Unable to access model foo. Please visit https://api.together.ai/models","type":"invalid_request_error","param":null,"code":"model_not_available"}}',
        "no-model",
    ),
    (
        404,
        '{"error":{"code":404,"message":"Publisher Model `projects/x/models/y` was not found or your project does not have access to it.","status":"NOT_FOUND"}}',
        "no-model",
    ),
    (
        400,
        "Invalid model 'xyz'. Permitted models can be found in the documentation at https://docs.perplexity.ai",
        "no-model",
    ),
    (
        400,
        '{"error":{"message":"Invalid model \'xyz\'. Permitted models can be found in the documentation","type":"invalid_model","code":400}}',
        "no-model",
    ),
    (404, '{"error":"model not found"}', "no-model"),
    (404, '{"message":"no Route matched with those values"}', "wrong-address"),
    (404, '{"error":{"message":"Not Found","type":"invalid_request_error"}}', "wrong-address"),
    (404, '{"error":"Not found"}', "wrong-address"),
    (404, '{"code":404,"message":"path not found"}', "wrong-address"),
    (404, "default backend - 404", "wrong-address"),
    (
        404,
        '{"success":false,"errors":[{"code":7000,"message":"No route for that URI"}]}',
        "wrong-address",
    ),
    (
        404,
        '{"success":false,"errors":[{"code":7003,"message":"Could not route to /client/v4/accounts/ai/v1/chat/completions, perhaps your object identifier is invalid?"}]}',
        "wrong-address",
    ),
    (
        400,
        '{"success":false,"errors":[{"code":5007,"message":"No such model @cf/x or task"}]}',
        "no-model",
    ),
    (400, "Client sent an HTTP request to an HTTPS server.", "wrong-address"),
    (
        402,
        '{"error":{"message":"Insufficient credits. This account never purchased credits.","code":402}}',
        "no-credit",
    ),
    (
        429,
        openai("You exceeded your current quota, please check your plan and billing details."),
        "no-credit",
    ),
    (
        429,
        '{"error":{"message":"{\\n  \\"error\\": {\\n    \\"code\\": 429,\\n    \\"message\\": \\"You exceeded your current quota, please check your plan and billing details.\\\\nPlease retry in 5.2s.\\",\\n    \\"status\\": \\"RESOURCE_EXHAUSTED\\"}}","code":429,"status":"Too Many Requests"}}',
        "rate-now",
    ),
    (
        403,
        '{"error":{"message":"用户额度不足, 剩余额度: 0","type":"new_api_error","code":"insufficient_user_quota"}}',
        "no-credit",
    ),
    (401, '{"error":{"message":"无效的令牌 (request id: 1)","type":"new_api_error"}}', "bad-key"),
    (
        400,
        '{"error":{"message":"The request was rejected because it was considered high risk","type":"content_filter"}}',
        "refused-content",
    ),
    (
        400,
        google(
            400, "INVALID_ARGUMENT", "* GenerateContentRequest.contents: contents is not specified"
        ),
        "refused",
    ),
    (
        400,
        '{"error":{"message":"Your request was rejected as a result of our safety system.","code":"content_policy_violation"}}',
        "refused-content",
    ),
    (
        403,
        '{"error":{"message":"Input prompt blocked by guardrail","code":403}}',
        "refused-content",
    ),
    (500, '{"error":{"message":"unmarshal: invalid message content type: <nil>"}}', "broken"),
    (400, '{"error":{"message":"invalid message content type: <nil>"}}', "refused"),
    (
        400,
        openai(
            "Invalid value: 'tool'. Supported values are: 'system', 'assistant', 'user', and 'function'.",
            param="messages[2].role",
        ),
        "refused",
    ),
    (400, openai("Unrecognized request argument supplied: reasoning_effort"), "unsupported"),
    (
        400,
        openai(
            "'reasoning_effort' does not support 'minimal' with this model. Supported values are: 'low'",
            param="reasoning_effort",
            code="unsupported_value",
        ),
        "unsupported",
    ),
    (400, openai("`reasoning_effort` is not supported with this model"), "unsupported"),
    (400, '{"error":"registry.ollama.ai/library/llama3 does not support thinking"}', "unsupported"),
    (
        400,
        '{"error":{"message":"property \'stream_options\' is unsupported","type":"invalid_request_error"}}',
        "unsupported",
    ),
    (400, '{"error":{"message":"parameter stream_options not allowed"}}', "unsupported"),
    (400, '{"error":{"message":"Field stream_options is not permitted"}}', "unsupported"),
    (
        400,
        '{"error_code":"BAD_REQUEST","message":"Bad request: json: unknown field \\"stream_options\\"\\n"}',
        "unsupported",
    ),
    (
        400,
        '{"error_code":"BAD_REQUEST","message":"{\\"message\\":\\"stream_options.include_usage: Extra inputs are not permitted\\"}"}',
        "unsupported",
    ),
    (400, '{"message":"Unexpected field: stream_options"}', "unsupported"),
    (400, '{"detail":"Unsupported parameter: max_output_tokens"}', "unsupported"),
    (
        400,
        '{"error":{"message":"messages: final assistant content cannot end with trailing whitespace"}}',
        "prefill",
    ),
    (
        400,
        '{"error":{"message":"The last message of deepseek-reasoner must be a user message, or an assistant message with prefix mode on (refer to https://api-docs.deepseek.com/guides/chat_prefix_completion)."}}',
        "prefill",
    ),
    (
        400,
        '{"error":{"message":"Requests ending with an assistant message are not supported"}}',
        "prefill",
    ),
    (400, '{"error":{"message":"The final message must not be from the assistant"}}', "prefill"),
    (
        400,
        '{"error":{"message":"Please ensure that single turn requests end with a user role or the role field is empty."}}',
        "prefill",
    ),
    (400, '{"error":{"message":"`tool_use` ids were found"}}', "refused"),
    (
        400,
        '{"object":"error","message":"Cannot set `add_generation_prompt` to True when the last message is from the assistant. Consider using `continue_final_message` instead."}',
        "prefill",
    ),
    (400, '{"error":{"message":"System messages are not allowed for this model"}}', "roles"),
    (
        400,
        '{"error":{"message":"messages: Unexpected role \\"system\\". The Messages API accepts a top-level `system` parameter, not \\"system\\" as an input message role."}}',
        "roles",
    ),
    (400, '{"error":{"message":"Messages with role \'system\' are not supported."}}', "roles"),
    (400, '{"error":{"message":"Consecutive messages with role user are not allowed"}}', "roles"),
    (
        400,
        '{"message":"A conversation must start with a user message. Try again with a conversation that starts with a user message."}',
        "roles",
    ),
    (
        400,
        '{"message":"A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again."}',
        "roles",
    ),
    (
        400,
        '{"error":{"message":"Bedrock: The model that you are using requires the last turn in the conversation to be a user message. Add a user message to the conversation and try again."}}',
        "prefill",
    ),
]
