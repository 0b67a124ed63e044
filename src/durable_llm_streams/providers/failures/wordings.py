"""The providers' own words for each kind of failure, as patterns over lower-case text.

Every pattern is linear: repetitions are bounded and not nested. `classify` decides the order in
which they are tried.
"""

from __future__ import annotations

import re
from typing import Final

Pattern = re.Pattern[str]


def _any(*patterns: str) -> Pattern:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.MULTILINE)


UNVERIFIED: Final = _any(
    r"organi[sz]ation must be verified",
    r"must be verified to (?:stream|use|access|generate)",
    r"click on verify organi[sz]ation",
)

KEY_LIMIT: Final = _any(
    r"\bkey limit exceeded",
    r"\bkey\b.{0,40}(?:spend(?:ing)?|budget|credit|usage|quota|monthly|daily|weekly) limit",
    r"budget has been exceeded",
    r"exceeded.{0,30}\bbudget",
    r"\bbudget.{0,20}exceeded",
)

NO_CREDIT: Final = _any(
    r"insufficient.{0,12}(?:balance|credits?|funds|quota)",
    r"(?:balance|credits?) (?:is |are )?(?:too low|not enough|exhausted|depleted|insufficient)",
    r"\b(?:used all|exhausted|out of|no|not enough|lack of) .{0,30}credits?\b",
    r"requires more credits|can only afford|never purchased credits|purchase (?:more )?credits",
    r"spending limit|billing hard limit|billing (?:is )?not active|account is not active",
    r"monthly included credits|payment required|overdue (?:balance|payment|bill)|in arrears",
    r"account is in good standing|prompt tokens limit exceeded: \d",
    r"exceeded your current quota|check your plan and billing",
    r"余额不足|余额不够|欠费|请充值",
)

CAN_AFFORD: Final = re.compile(r"can only afford (?:up to )?(\d{1,9})")

REFUSED_CONTENT: Final = _any(
    r"content (?:management|filter\w*|policy|policies|safety|moderation)",
    r"content exists risk|inappropriate content|prohibited content|unsafe content",
    r"(?:input|prompt|output|request|response|message|content) (?:was|were|has been|is) "
    r"(?:flagged|blocked|filtered)",
    r"flagged (?:by|for|as)\b|requires moderation|moderation (?:system|policy|endpoint)",
    r"violat\w{1,4}.{0,60}(?:polic(?:y|ies)|guidelines|terms|rules)",
    r"safety (?:system|filters?|settings|reasons|guidelines|polic)",
    r"(?:blocked|rejected|filtered).{0,30}(?:safety|content\b(?![ -]?type)|moderation|guardrail)",
    r"data may contain|output blocked|responsible ai|敏感内容|不安全",
)

# The answer's own limit, which is not the conversation's length.
TOO_MANY_TOKENS: Final = _any(
    r"max_(?:completion_|output_)?tokens\W{0,3} (?:is |are |value )?(?:too (?:large|high|"
    r"big)|exceeds)",
    r"max_(?:completion_|output_)?tokens\b.{0,40}(?:too large|too high|must be less|"
    r"at most|exceeds)",
    r"range of (?:max_tokens|max_completion_tokens)|invalid max_tokens",
    r"max_tokens: \d{1,9} > \d|maximum allowed number of output tokens",
    r"supports at most \d{1,9} (?:completion|output) tokens",
    r"maximum tokens you requested exceeds",
)

TOO_LONG: Final = _any(
    r"context.{0,2}(?:length|window|size|limit|overflow|shift)|maximum context|available context",
    r"max(?:imum)?[ _](?:prompt|input|model|sequence)[ _]?(?:length|len|size|tokens?)",
    r"(?:prompt|input|request|conversation|message|text|string)s? (?:is |are |"
    r"was )?too (?:long|large)",
    r"(?:input|prompt) length|prompt token count|too long for requested model",
    r"token count.{0,60}exceed|tokens? .{0,40}exceeds? (?:the |model |your )?(?:maximum|limit|max)",
    r"exceed(?:s|ed)?.{0,50}(?:token limit|number of tokens|max(?:imum)?.{0,10}length|"
    r"input tokens)",
    r"exceeds max length|token limit (?:is )?exceeded|too many (?:input |"
    r"prompt )?tokens(?!,? please)",
    r"reduce (?:the |your )?(?:length|prompt|input|size|number of (?:tokens|messages))",
    r"\bn_ctx\b|\bn_keep\b|tokens to keep|when context the overflows",
    r"longer than the (?:model's|maximum)|maximum allowed (?:input )?length|range of input length",
    r"must have less than \d{1,9} tokens|tokens . .{0,3}max_new_tokens|exceeds the maximum size",
    r"request (?:body |entity )?too large|max_tokens must be at least 1, got -",
    r"shorten (?:your|the) (?:prompt|input|message|conversation)|extra usage is required for long",
    r"上下文长度|超过.{0,10}最大.{0,10}长度",
)

#: One request that exceeds the limit of a minute: waiting does not help.
LARGER_THAN_LIMIT: Final = re.compile(r"request too large for")
LIMIT_AND_REQUESTED: Final = re.compile(r"limit:? ~?(\d{1,12})\b.{0,40}requested:? ~?(\d{1,12})\b")

BAD_KEY: Final = _any(
    r"\b(?:invalid|incorrect|expired|missing|wrong|bad|unknown|disabled|revoked|malformed|no)\b"
    r".{0,20}(?:api[ _-]?key|auth(?:entication|orization)?\b|credentials?|api token)",
    r"(?:(?:api|access|subscription|virtual|your)[ _-]?key|credentials?|"
    r"(?:auth|access|api|bearer|security) token)"
    r".{0,40}(?:invalid|incorrect|not valid|expired|missing|required|not found|disabled|revoked|"
    r"leaked|suspended|not provided)",
    r"invalid (?:bearer |api |auth )?token\b(?! count| limit| id)|(?:provide|set|"
    r"need) an api[ _-]?key",
    r"authentication (?:fail|error|required|is required|fails)|unauthenticated|\bunauthorized\b",
    r"could not (?:resolve authentication|authenticate)|didn't provide an api key",
    r"(?:valid|use another) api[ _-]?key|signature does not match|"
    r"account (?:has been )?deactivated",
    r"unregistered callers|please use api key",
    r"(?:api.?key|令牌|密钥).{0,10}(?:无效|过期)|无效的令牌",
)

NO_MODEL: Final = _any(
    r"\bmodels?\b.{0,120}(?:not found|does not exist|doesn't exist|do not exist|not exist\b|"
    r"no longer (?:available|supported)|decommissioned|been (?:retired|removed|shut ?down|"
    r"deprecated)|"
    r"not recognized|not loaded|not deployed|is not valid|"
    r"not available(?! (?:right now|now|at th|currently|temporar))|"
    r"is not a chat model|not supported by any provider|not accessible)",
    r"(?:unknown|invalid|no such|unrecognized|unsupported|missing) model\b",
    r"model (?:name|id|identifier).{0,60}(?:invalid|unknown|incorrect|not supported)",
    r"not a valid model|not a chat model|try pulling it|no models? (?:is |"
    r"are )?(?:currently )?loaded",
    r"no endpoints? found|no allowed providers|unable to access model|model_not_found",
    r"(?:no|not have|doesn't have|without|"
    r"key not allowed to) access (?:to )?(?:the )?(?:\w{1,20} )?model",
    r"deployment\b.{0,80}(?:not exist|not found)|throughput isn.t supported",
    r"only supported in v1/|does not support (?:chat\b|generatecontent)|"
    r"not supported in the v1/chat",
    r"requires more system memory|模型不存在|无可用渠道",
)

WRONG_ADDRESS: Final = _any(
    r"page not found|unexpected endpoint|invalid url|unknown request url|unrecognized request url",
    r"no route for|could not route to|http request to an https server",
    r"plain http request was sent to https|no route matched|no static resource|cannot post /",
    r"(?:resource|file|path|route|endpoint|url|uri)\b.{0,60}not found|method not allowed",
    r"^(?:404 |error:? )?not found\.? ?$|wrong api endpoint",
)

NOT_ALLOWED: Final = _any(
    r"(?:country|region|territory|location).{0,60}(?:not (?:supported|available|allowed)|"
    r"unsupported)",
    r"unsupported[ _](?:country|region)|(?:organization|account) has been (?:disabled|suspended)",
)

PREFILL: Final = _any(
    r"assistant.{0,60}pre-?fill|pre-?fill.{0,60}(?:assistant|not support|unsupported|incompatible)",
    r"(?:not|n't) (?:support|allow|accept)\w{0,3}.{0,30}pre-?fill",
    r"end(?:s|ing)? with (?:a |an )?['\"`]?user|final assistant content",
    r"expected (?:the )?last role",
    r"(?:last|final) (?:message|turn|role)\b.{0,60}(?:must|should|has to|needs to|to be).{0,40}"
    r"(?:\buser\b|not be.{0,20}assistant)",
    r"(?:cannot|can't|end(?:s|ing)?) (?:with )?(?:an )?assistant (?:message|turn|role)",
    r"assistant (?:message|turn)s? (?:cannot|can't|must not|may not).{0,20}(?:last|end|final)",
    r"continue_final_message|cannot continue final message|add_generation_prompt|continue_final",
    r"final message does not appear|prefix mode|message in the final position",
    r"assistant messages at the end of the list",
    r"\bprefix\b['\"`\]]?[: ]{1,3}.{0,20}(?:extra inputs|not permitted|unknown|unexpected)",
    r"(?:unknown|unrecognized|unexpected|unsupported).{0,30}['\"`]prefix['\"`]",
)

ALTERNATE: Final = _any(
    r"(?:roles?|messages?|turns?|conversations?|turn requests|multiturn requests)\b"
    r".{0,60}"
    r"\balternat(?:e|es|ing)\b",
    r"(?:successive|consecutive) (?:user|assistant|messages)|interleave",
    r"(?:first|1st) (?:message|turn|content|role)\b.{0,60}\buser\b",
    r"(?:start|begin)s? with (?:a |an )?['\"`]?user|unexpected role.{0,30}after role",
    r"roles must|role order|message order",
)

NO_SYSTEM: Final = _any(
    r"system[ _-]?(?:role|messages?|prompts?|instructions?|turns?)?\b.{0,40}"
    r"(?:not (?:yet |currently )?(?:supported|enabled|allowed|permitted|available|"
    r"accepted)|unsupported)",
    r"(?:not|n't) (?:support|have|accept|allow|use|handle).{0,40}['\"`]?system['\"`]?"
    r"(?:[ _-](?:role|message|prompt|instruction)|['\"`])",
    r"(?:not|n't) support (?:the )?system\b|developer instruction is not enabled",
    r"only user and assistant roles are (?:supported|allowed)(?!.{0,60}system)",
    r"(?:unknown|invalid|unsupported|unexpected) (?:message )?role:? ?['\"`]?system",
    r"must be one of.{0,30}(?:user|assistant).{0,40}(?:got|received|but).{0,12}system",
)

NO_DEVELOPER: Final = _any(
    r"unknown variant .developer|(?:unknown|invalid|unsupported|"
    r"unexpected) (?:message )?role.{0,12}developer",
    r"developer[ '\"`](?:role )?(?:is )?not (?:one of|supported|allowed)",
    r"not support.{0,12}.developer",
)

TEMPLATE: Final = _any(
    r"jinja|(?:chat|custom)[ _]template|templateerror|raise_exception|rendering prompt",
    r"template error",
    r"apply.{0,8}template|template render",
)

#: A template's message follows it; the template's source may come before.
EXCEPTION: Final = re.compile(r"(?:jinja exception|templateerror|exceptions?\.\w{1,30}error): ")

RATE: Final = _any(
    r"rate.?limit|too many (?:requests|concurrent)|too many tokens,? please|quota.{0,20}exceeded",
    r"exceeded.{0,40}(?:quota|usage limit)|resource (?:has been )?exhausted|throttl",
    r"(?:requests|tokens|calls) (?:per|/) ?(?:second|minute|min|hour|day|month)",
    r"volume quota|usage limits?\b|limit reached|\brpm\b|\btpm\b|concurrency limit",
    r"per-?(?:second|minute|hour|day)|并发|速率限制|频率",
)

LONG_RATE: Final = _any(
    r"per[ _-]?(?:day|week|month)|/ ?(?:day|week|month)\b|\bdaily\b|\bweekly\b|\bmonthly\b",
    r"byday\b|perday|_daily|\btpd\b|\brpd\b|(?:for|used) today|24 ?h(?:ours)?\b|per 86400s",
    r"hourly usage limit|api usage limits|(?:session|plan|subscription) (?:usage )?limit",
)

#: Google reports a free quota of 0: the plan does not include this model.
NO_QUOTA: Final = re.compile(r"\blimit: 0\b(?!\.\d)")

OVERLOADED: Final = _any(
    r"overload|(?:over|at|no|insufficient|exceeded?|lack of) .{0,20}capacity|"
    r"capacity (?:is )?exceeded",
    r"too busy|(?:server|service|model|system|engine) (?:is )?(?:currently )?busy|"
    r"high (?:demand|traffic|load)",
    r"temporarily unavailable|service unavailable|loading model|no instances|no healthy",
    r"model.{0,80}(?:is )?(?:currently|still|being) load|unavailable right now",
    r"queue (?:is )?full|pending requests exceeded|temporarily rate-limited|model (?:is )?unloaded",
)

SLOW: Final = _any(
    r"tim(?:ed?|ing)[ -]?out|deadline.{0,12}exceeded|took too long",
)
