"""How a page looks, light and dark."""

_LIGHT = """
  --page: #f6f6f4; --card: #ffffff; --text: #1d1d1b; --muted: #6a6963; --line: #e3e2dd; --shade: #f1f0ec;
  --good: #2a78d6; --bad: #cf3636; --again: #d98a1c; --running: #6f5fc4; --idle: #b9b7af;
  --curve: #2a78d6; --loss: #1b8f72; --target: #cf3636; --on: #ffffff; --note: #fdf3dc; --note-line: #e5c06c;
"""
_DARK = """
  --page: #131312; --card: #1c1c1a; --text: #efeee9; --muted: #a09e96; --line: #34332f; --shade: #262522;
  --good: #4a90e2; --bad: #ea6a62; --again: #dd9a3c; --running: #9486e0; --idle: #5c5a53;
  --curve: #4a90e2; --loss: #35b08f; --target: #ea6a62; --on: #10100f; --note: #2d2616; --note-line: #7a6330;
"""
_RULES = """
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem .9rem; margin-bottom: 1.25rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
header p { flex-basis: 100%; margin: 0; color: var(--muted); }
h2 { font-size: 1.05rem; margin: 0 0 .9rem; }
section, .tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 1.1rem 1.25rem 1.25rem; margin-top: 1rem; }
.notice { background: var(--note); border: 1px solid var(--note-line); border-radius: 10px; padding: .6rem 1rem; margin: .6rem 0;
  overflow-wrap: anywhere; }
.notice.bad { border-color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: .75rem; margin-top: 1rem; }
.tile { padding: .8rem 1rem; }
.tile small, .tile span { display: block; color: var(--muted); font-size: .85rem; overflow-wrap: anywhere; }
.tile b { display: block; font-size: 1.45rem; line-height: 1.35; font-weight: 600; overflow-wrap: anywhere; }
.tile b i { font-size: .95rem; font-style: normal; font-weight: 500; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: .8rem 1rem; margin: 0; }
.figures dt { color: var(--muted); font-size: .85rem; }
.figures dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.phase { display: inline-flex; align-items: center; gap: .4em; white-space: nowrap; }
.phase::before { content: ""; width: .6em; height: .6em; border-radius: 50%; background: var(--idle); }
header .phase { border: 1px solid var(--line); border-radius: 99px; padding: .1rem .7rem; background: var(--card); }

.row { display: grid; grid-template-columns: minmax(6rem, 13rem) 1fr 5.5rem; gap: .8rem; align-items: center; }
.label { overflow-wrap: anywhere; line-height: 1.25; padding: .3rem 0; }
.label small { display: block; color: var(--muted); }
.spent { text-align: right; color: var(--muted); font-variant-numeric: tabular-nums; white-space: nowrap; }
.track { position: relative; align-self: stretch; min-height: 2.1rem; border-right: 1px solid var(--line);
  background: repeating-linear-gradient(to right, var(--line) 0 1px, transparent 1px var(--step)); }
.track span { position: absolute; top: calc(50% - .6rem); height: 1.2rem; min-width: 3px; border-radius: 3px; overflow: hidden;
  color: var(--on); font-size: .75rem; line-height: 1.2rem; text-indent: .35rem; border-right: 1px solid var(--card); }
.axis { position: relative; height: 1.4rem; margin: 0 6.3rem 0 calc(min(13rem, 100% - 6.3rem) + .8rem); color: var(--muted);
  font-size: .8rem; }
.axis span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.axis span:first-child { transform: none; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .8rem 0 0; color: var(--muted); font-size: .85rem; }
.legend i { display: inline-block; width: .9em; height: .7em; border-radius: 2px; margin-right: .45em; }
.track .good, .legend .good, .phase.good::before { background: var(--good); }
.track .bad, .legend .bad, .phase.bad::before { background: var(--bad); }
.track .again, .legend .again, .phase.again::before { background: var(--again); }
.track .running, .legend .running, .phase.running::before { background: var(--running); }

figure { margin: 0 0 1.4rem; }
figcaption { color: var(--muted); font-size: .85rem; margin-bottom: 1.6rem; }
figcaption b { color: var(--text); }
.plot { position: relative; height: 230px; margin: 0 1rem 2rem 3.6rem; border-left: 1px solid var(--line);
  border-bottom: 1px solid var(--line); }
.plot.loss { height: 150px; }
.plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.plot path { fill: none; vector-effect: non-scaling-stroke; stroke-linecap: butt; }
.plot .grid { stroke: var(--line); stroke-width: 1; }
.plot .end { stroke: var(--idle); stroke-width: 1; stroke-dasharray: 2 4; }
.plot path.target { stroke: var(--target); stroke-width: 1.5; stroke-dasharray: 7 4; }
.plot path.reference, .plot path.floor { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 2 3; }
.plot .curve { stroke: var(--curve); stroke-width: 2; stroke-linejoin: round; }
.plot.loss .curve { stroke: var(--loss); }
.plot .interval { stroke: var(--curve); stroke-width: 2; }
.plot .dot { stroke: var(--curve); stroke-width: 11; stroke-linecap: round; }
.plot .hollow { stroke: var(--card); stroke-width: 6; stroke-linecap: round; }
.plot .bar { fill: var(--curve); stroke: var(--card); stroke-width: 1; vector-effect: non-scaling-stroke; }
.plot span { position: absolute; color: var(--muted); font-size: .78rem; line-height: 1; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.plot span.y { right: calc(100% + .5rem); transform: translateY(-50%); }
.plot span.x { top: calc(100% + .5rem); transform: translateX(-50%); }
.plot span.across { left: .35rem; transform: translateY(-125%); text-shadow: 0 0 4px var(--card), 0 0 4px var(--card); }
.plot span.across.floor { transform: translateY(35%); }
.plot span.across.target { color: var(--target); }
.plot span.down { bottom: calc(100% + .3rem); transform: translateX(-50%); }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .38rem .9rem .38rem 0; border-bottom: 1px solid var(--line); }
thead th { color: var(--muted); font-weight: 500; white-space: nowrap; }
td { overflow-wrap: break-word; }
.time { white-space: nowrap; }
td:last-child { overflow-wrap: anywhere; min-width: 5rem; }
.pairs th { font-weight: 500; width: 15rem; overflow-wrap: anywhere; }
tbody tr:last-child > * { border-bottom: 0; }
a { color: inherit; }

@media (max-width: 640px) {
  main { padding: 1.25rem .8rem 3rem; }
  section { padding: .9rem .9rem 1rem; }
  .row { grid-template-columns: 1fr auto; gap: 0 .8rem; }
  .track { grid-row: 2; grid-column: 1 / -1; }
  .axis { margin: 0; }
  .plot { margin-left: 3rem; margin-right: .5rem; }
  .plot span { font-size: .72rem; }
  .pairs th { width: 45%; }
}
"""
STYLE = f":root {{{_LIGHT}}}\n@media (prefers-color-scheme: dark) {{ :root {{{_DARK}}} }}\n{_RULES}"
