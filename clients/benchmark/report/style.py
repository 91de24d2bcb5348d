"""How a page looks: light and dark, wide and narrow, on paper."""

_LIGHT = """
  --page: #f5f6f8; --card: #ffffff; --text: #1a1c20; --muted: #5d636e; --line: #dfe2e8;
  --one: #2463c4; --two: #b3591a; --three: #6c7280; --bad: #c22f2f; --good: #1c7f4f; --notice: #fdf1d8; --edge: #d9b15c;
"""
_DARK = """
  --page: #121418; --card: #1a1d22; --text: #eceef2; --muted: #a2a8b4; --line: #33373f;
  --one: #6aa2f5; --two: #e79a58; --three: #9aa0ad; --bad: #f07d74; --good: #55c290; --notice: #2e2717; --edge: #7d682f;
"""
_RULES = """
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 1.8rem 1.2rem 3.5rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0 0 .8rem; }
.lead { color: var(--muted); margin: .25rem 0 1rem; overflow-wrap: anywhere; }
section, .tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
section { padding: 1rem 1.2rem; margin-top: 1rem; }
.notice { background: var(--notice); border: 1px solid var(--edge); border-radius: 8px; padding: .55rem .9rem; margin: .6rem 0;
  overflow-wrap: anywhere; }
.notice.bad { border-color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .7rem; margin-top: 1rem; }
.tile { padding: .7rem .9rem; }
.tile small { display: block; color: var(--muted); font-size: .84rem; overflow-wrap: anywhere; }
.tile b { display: block; font-size: 1.2rem; font-weight: 600; line-height: 1.35; }
figure { margin: 0 0 1.6rem; break-inside: avoid; }
figcaption { color: var(--muted); font-size: .85rem; margin-bottom: 1.5rem; }
figcaption b { color: var(--text); }
.legend i { font-style: normal; margin-left: .9em; white-space: nowrap; }
.legend i::before { content: ""; display: inline-block; width: 1.5em; margin-right: .4em; vertical-align: middle;
  border-top: 3px solid var(--one); }
.legend .p99::before, .legend .after::before, .legend .failed::before { border-top: 3px dashed var(--two); }
.legend .slowest::before { border-top: 3px dotted var(--three); }
.legend .failed::before { border-top-color: var(--bad); }
.plot { position: relative; height: 240px; margin: 0 1rem 1.9rem 3.8rem; border-left: 1px solid var(--line);
  border-bottom: 1px solid var(--line); }
.plot.low { height: 150px; }
.plot.forest { margin-left: 6rem; }
.plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.plot path { fill: none; vector-effect: non-scaling-stroke; }
.plot .grid { stroke: var(--line); stroke-width: 1; }
.plot path.down { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 3 3; }
.plot .curve { stroke: var(--one); stroke-width: 2; stroke-linejoin: round; }
.plot .curve.p99, .plot .curve.after { stroke: var(--two); stroke-dasharray: 7 4; }
.plot .curve.slowest { stroke: var(--three); stroke-width: 1.5; stroke-dasharray: 2 3; }
.plot .curve.failed { stroke: var(--bad); stroke-dasharray: 4 3; }
.plot .curve.front { stroke: var(--good); stroke-width: 1.5; stroke-dasharray: 5 4; }
.plot .bar { fill: var(--one); stroke: var(--card); stroke-width: 1; vector-effect: non-scaling-stroke; }
.plot .dot { stroke: var(--three); stroke-width: 8; stroke-linecap: round; }
.plot .interval { stroke: var(--three); stroke-width: 2; }
.plot .good { stroke: var(--good); }
.plot .bad { stroke: var(--bad); }
.plot .dot.good, .plot .dot.bad { stroke-width: 11; }
.plot span { position: absolute; color: var(--muted); font-size: .78rem; line-height: 1; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.plot span.y { right: calc(100% + .5rem); transform: translateY(-50%); }
.plot span.x { top: calc(100% + .5rem); transform: translateX(-50%); }
.plot span.down { bottom: calc(100% + .25rem); transform: translateX(-50%); }
.plot span.beside { transform: translate(.6rem, -140%); color: var(--text); }
.plot span.before { transform: translate(calc(-100% - .5rem), -140%); color: var(--text); }
details { color: var(--muted); font-size: .85rem; margin: -.6rem 0 0 3.8rem; }
details .scroll { max-height: 16rem; overflow: auto; margin-top: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); font-weight: 400; }
thead th { color: var(--muted); white-space: nowrap; }
tbody tr:last-child > * { border-bottom: 0; }
.runs td { white-space: nowrap; }
.pairs th { width: 13rem; color: var(--muted); }
.pairs td { overflow-wrap: anywhere; }
.better { color: var(--good); font-weight: 600; } .worse { color: var(--bad); font-weight: 600; }
ul { margin: 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
@media (max-width: 620px) {
  main { padding: 1.1rem .7rem 2.5rem; }
  section { padding: .85rem .8rem; }
  .plot { margin-left: 2.9rem; margin-right: .4rem; height: 210px; }
  .plot.forest { margin-left: 5.4rem; }
  .plot span { font-size: .7rem; }
  details { margin-left: 0; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .runs td { white-space: nowrap; }
.pairs th { width: 40%; }
  .legend { display: block; } .legend i { margin: 0 .9em 0 0; }
}
@media print {
  body { background: none; font-size: 11pt; } main { padding: 0; max-width: none; }
  section, .tile { break-inside: avoid; } details { display: none; }
}
"""
STYLE = f":root {{{_LIGHT}}}\n@media screen and (prefers-color-scheme: dark) {{ :root {{{_DARK}}} }}\n{_RULES}"
