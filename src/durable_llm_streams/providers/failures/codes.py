"""Codes, types and statuses of providers' errors, in lower case.

Sources: the error pages of OpenAI, Azure, Anthropic, Google (google.rpc.Code), Mistral, DashScope,
AWS Bedrock, OpenRouter and LiteLLM; the sources of vLLM, llama.cpp and SGLang.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _table(groups: Mapping[str, str]) -> dict[str, str]:
    return {word: key for key, words in groups.items() for word in words.split()}


#: Codes with one meaning, whatever the status.
CERTAIN: Final = _table(
    {
        "too-long": "context_length_exceeded exceed_context_size_error string_above_max_length "
        "model_max_prompt_tokens_exceeded tokens_limit_reached contextwindowexceedederror "
        "request_too_large prompt_too_long input_too_long 1261 3051",
        "no-credit": "insufficient_quota billing_hard_limit_reached billing_not_active arrearage "
        "insufficient_balance insufficient_credits exceeded_current_quota_error billing_error "
        "payment_required insufficient_user_quota 1113",
        "key-limit": "budget_exceeded key_spend_limit_exceeded key_limit_exceeded exceededbudget",
        "bad-key": "invalid_api_key authentication_error api_key_invalid wrong_api_key "
        "invalid_authentication_error authenticationerror invalid_token token_expired "
        "account_deactivated api_key_service_blocked api_key_expired incorrect_api_key "
        "unrecognizedclientexception expiredtokenexception invalidapikey",
        "no-model": "model_not_found deploymentnotfound model_not_supported unknown_model "
        "no_such_model modelnotfound model_not_exist invalid_model model_decommissioned "
        "model_not_available unsupported_model key_model_access_denied model_terms_required "
        "modelnotfoundexception 1211",
        "refused-content": "content_filter content_policy_violation bio_policy invalid_prompt "
        "misalignment_policy_violation responsibleaipolicyviolation data_inspection_failed "
        "datainspectionfailed prohibited_content moderation_blocked cyber_policy "
        "contentpolicyviolationerror content_policy content_moderation_failed 1301",
        "not-allowed": "unsupported_country_region_territory",
        "wrong-address": "unknown_url",
        "refused": "data_residency_mismatch",
    }
)

#: Words with the meaning of an HTTP status.
STATUS_WORDS: Final = {
    word: int(status)
    for word, status in _table(
        {
            "400": "invalid_argument failed_precondition out_of_range invalid_request_error "
            "badrequesterror validationexception bad_request badrequest invalid_request",
            "401": "unauthenticated unauthorized authenticationerror authentication_error",
            "402": "billing_error payment_required",
            "403": "permission_denied permission_error accessdeniedexception forbidden "
            "permissiondeniederror",
            "404": "not_found not_found_error notfounderror resourcenotfoundexception",
            "408": "modeltimeoutexception request_timeout",
            "413": "request_too_large",
            "422": "unprocessableentityerror unprocessable_entity",
            "429": "resource_exhausted rate_limit_error rate_limit_exceeded ratelimiterror "
            "throttlingexception throttling too_many_requests too_many_requests_error "
            "ratelimitreached ratelimitexceeded rate_limited rate_limit requests tokens "
            "servicequotaexceededexception throttling.ratequota throttling.allocationquota "
            "token_quota_exceeded request_quota_exceeded concurrency_limit_exceeded "
            "insufficient_quota 1302 1303 1305",
            "500": "internal unknown data_loss server_error api_error internalservererror "
            "internalserverexception internal_error internal_server_error",
            "501": "unimplemented not_supported_error",
            "502": "upstream_error provider_error bad_gateway",
            "503": "unavailable overloaded unavailable_error serviceunavailableerror "
            "serviceunavailableexception service_unavailable modelnotreadyexception "
            "engine_overloaded_error no_capacity nocapacity queue_exceeded "
            "service_tier_capacity_exceeded capacity_exceeded model_overloaded",
            "504": "deadline_exceeded timeout_error timeout apitimeouterror gateway_timeout",
            "529": "overloaded_error",
        }
    ).items()
}

#: The meaning of a status if no word says more. All other 4xx are `refused`, all 5xx `broken`.
BY_STATUS: Final[Mapping[int, str]] = {
    401: "bad-key",
    402: "no-credit",
    403: "not-allowed",
    404: "wrong-address",
    405: "wrong-address",
    408: "slow",
    409: "broken",
    410: "no-model",
    413: "too-long",
    424: "broken",
    425: "overloaded",
    429: "rate-now",
    451: "not-allowed",
    498: "overloaded",
    499: "broken",
    501: "refused",
    503: "overloaded",
    504: "slow",
    522: "slow",
    524: "slow",
    529: "overloaded",
    598: "slow",
    599: "slow",
}
