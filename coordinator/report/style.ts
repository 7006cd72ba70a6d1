/** The style of an HTML report: dark and light by the reader's system, paper in print. It is the same in every report. */
export const style = `
:root{color-scheme:light dark;--page:#fff;--ink:#1b1f24;--soft:#57606a;--rule:#d0d7de;--panel:#f6f8fa;--good:#1a7f37;--bad:#cf222e;--open:#9a6700;--still:#6e7781;--link:#0969da}
@media (prefers-color-scheme:dark){:root{--page:#0d1117;--ink:#e6edf3;--soft:#9198a1;--rule:#3d444d;--panel:#161b22;--good:#3fb950;--bad:#ff7b72;--open:#d29922;--still:#9198a1;--link:#58a6ff}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem;max-width:60rem;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:break-word}
li,pre,td:last-child{overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1.2rem;margin:2rem 0 .5rem;padding-top:1rem;border-top:1px solid var(--rule)}
h3{font-size:1rem;margin:1.25rem 0 .4rem}
h4{font-size:.9rem;margin:1rem 0 .3rem;color:var(--soft)}
p{margin:.4rem 0}
.lead{font-size:1.05rem}
.facts,.source,.at{color:var(--soft);font-size:.87rem}
.verdict{display:inline-block;padding:0 .5rem;border:1px solid currentColor;border-radius:.3rem;font-weight:600}
.pass,.reached{color:var(--good);fill:var(--good)}
.fail,.error,.missed{color:var(--bad);fill:var(--bad)}
.inconclusive,.unknown{color:var(--open);fill:var(--open)}
.aborted,.running,.skipped,.waiting{color:var(--still);fill:var(--still)}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.87em}
pre{margin:.4rem 0;padding:.6rem .8rem;background:var(--panel);border:1px solid var(--rule);border-radius:.3rem;white-space:pre-wrap}
ul{margin:.3rem 0;padding-left:1.2rem}
li{margin:.2rem 0}
.table{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.87rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--rule)}
th{color:var(--soft);font-weight:600;white-space:nowrap}
td.short{white-space:nowrap;overflow-wrap:normal}
td:last-child{width:100%}
a{color:var(--link)}
svg{display:block;width:100%;height:auto;max-width:760px;margin:.5rem 0;font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
svg .label{fill:var(--ink)}
svg .time{fill:var(--soft);text-anchor:end}
svg .tick{fill:var(--soft);font-size:11px}
svg .end{text-anchor:end}
svg .axis{stroke:var(--soft)}
svg .none{stroke:var(--rule);stroke-dasharray:2 4}
svg .dot{fill:var(--link);fill-opacity:.75}
@media print{:root{color-scheme:light;--page:#fff;--ink:#000;--soft:#444;--rule:#bbb;--panel:#f4f4f4;--good:#116329;--bad:#a40e26;--open:#7d4e00;--still:#555;--link:#000}
body{padding:0;max-width:none;font-size:10pt}
h2,h3,h4{break-after:avoid}
tr,svg,pre,li{break-inside:avoid}
*{print-color-adjust:exact}
@page{margin:16mm}}
`;
