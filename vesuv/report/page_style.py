"""The page's look: light and dark by the reader's preference, one column on a phone, paper as well.

The colours of lines are those of Okabe and Ito, shifted for contrast on either ground.
"""

_COLOURS = """
:root{--ground:#f6f7f9;--card:#fff;--ink:#18202b;--dim:#566174;--rule:#d6dce4;--even:#fff;
--odd:#e9eef6;--grid:#cfd6df;--c0:#0067ab;--c1:#c94f00;--c2:#008462;--c3:#b4558d;--c4:#8a6500;
--c5:#5f6f82;--c6:#2f93c9;--bad:#b3261e;--badground:#fdeceb;--warn:#8a5a00;--warnground:#fff4dd;
--good:#00704f}
@media (prefers-color-scheme:dark){@media screen{:root{--ground:#11151b;--card:#191f28;
--ink:#e5eaf1;--dim:#a2afbf;--rule:#323c4a;--even:#191f28;--odd:#222b38;--grid:#364152;--c0:#5cb6f2;--c1:#ff935a;
--c2:#3fd0a3;--c3:#e9a3cd;--c4:#efc04f;--c5:#a9b8ca;--c6:#9bd8fa;--bad:#ff9b93;--badground:#3a2020;
--warn:#f3c35b;--warnground:#352b17;--good:#5fd8ae}}}
"""

_WORDS = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);line-height:1.5;
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
header,main{max-width:84rem;margin:0 auto;padding:0 clamp(.8rem,2.5vw,2rem)}
header{padding-top:1.5rem}
h1{font-size:clamp(1.5rem,4vw,2.1rem);line-height:1.2;margin:.1rem 0 .6rem}
h2{font-size:1.3rem;margin:2.4rem 0 .7rem;padding-bottom:.3rem;border-bottom:1px solid var(--rule)}
h3{font-size:1rem;margin:0 0 .2rem}
figcaption h3{display:flex;justify-content:space-between;gap:.8rem}
section>h3{margin-top:1.4rem}
p{margin:.3rem 0}
.brand{color:var(--dim);font-size:.8rem;letter-spacing:.08em;text-transform:uppercase;margin:0}
.note{color:var(--dim);font-size:.875rem}
.note strong{color:var(--ink)}
.quiet{padding:.7rem 1rem;background:var(--card);border:1px solid var(--rule);border-radius:.5rem}
.good{color:var(--good)}
code,pre{font-family:ui-monospace,"SFMono-Regular",Menlo,Consolas,monospace;font-size:.86em}
pre{background:var(--card);border:1px solid var(--rule);border-radius:.5rem;padding:.8rem;
overflow-wrap:normal;max-height:32rem;line-height:1.4}
a{color:var(--c0)}
:focus-visible{outline:2px solid var(--c0);outline-offset:2px}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;font-size:.9rem;margin-top:1rem}
.state span{display:inline-block;padding:0 .6rem;border-radius:1rem;font-size:.85rem;
font-weight:600;border:1px solid currentColor;margin-right:.3rem}
.state.running span{color:var(--good)}
.state.ended span,.state.started span{color:var(--dim)}
.progress{display:flex;align-items:center;gap:.8rem;max-width:40rem;font-size:.9rem}
.progress span{white-space:nowrap}
.bar{display:block;flex:1;min-width:4rem;height:.5rem;border-radius:.25rem;background:var(--rule);
overflow:hidden}
.bar i{display:block;height:100%;background:var(--c0)}
"""

_BOXES = """
dl{margin:0}
dd{margin:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.2rem,1fr));gap:.6rem;
margin-top:.9rem}
.tile{background:var(--card);border:1px solid var(--rule);border-radius:.5rem;padding:.6rem .8rem}
.tile dt{color:var(--dim);font-size:.8rem}
.tile dd{font-size:1.35rem;font-weight:600;line-height:1.3;font-variant-numeric:tabular-nums}
.tile small{display:block;font-size:.78rem;font-weight:400;color:var(--dim)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:.8rem}
.card{background:var(--card);border:1px solid var(--rule);border-left:.35rem solid var(--warn);
border-radius:.5rem;padding:.8rem 1rem}
.card.trouble{border-left-color:var(--bad)}
.sign{font-size:.8rem;font-weight:600;color:var(--warn);margin:0 0 .2rem}
.trouble .sign{color:var(--bad)}
.remedy{padding:.5rem .7rem;border-radius:.4rem;background:var(--warnground);margin-top:.6rem}
.trouble .remedy{background:var(--badground)}
.card dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:.3rem .8rem;
margin-top:.4rem;font-size:.875rem}
.card dt{color:var(--dim)}
details{margin-top:.7rem}
summary{cursor:pointer;font-size:.92rem;font-weight:600}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:.9rem;background:var(--card);
border:1px solid var(--rule)}
.scroll{margin:.6rem 0}
th,td{text-align:left;padding:.4rem .7rem;border-bottom:1px solid var(--rule);vertical-align:top;
overflow-wrap:normal}
th{color:var(--dim);font-weight:600;font-size:.82rem;white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td .bar{margin-top:.45rem}
.said{font-size:.9rem;margin-bottom:.8rem}
.said ol{margin:.2rem 0;padding-left:1.6rem}
.chips code{white-space:nowrap;overflow-wrap:anywhere}
p.chips code{white-space:normal;background:var(--odd);padding:.05rem .35rem;border-radius:.3rem}
.lines{display:block;min-width:15rem}
.lines code{display:block;padding-left:1rem;text-indent:-1rem}
span.mark{color:var(--c1)}
"""

_CHARTS = """
figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:.5rem;
padding:.8rem clamp(.5rem,1.5vw,1rem) .5rem;min-width:0}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:.8rem}
.chart{display:flex;flex-direction:column}
.chart .plot{flex:1;grid-template-rows:minmax(0,1fr) auto}
.wide{grid-column:1/-1}
.when{color:var(--dim);font-weight:400;white-space:nowrap;font-variant-numeric:tabular-nums}
.legend{list-style:none;margin:.35rem 0 .5rem;padding:0;display:flex;flex-wrap:wrap;
gap:.1rem 1.1rem;font-size:.85rem}
.legend b{font-variant-numeric:tabular-nums}
.key{width:22px;height:8px;margin-right:.35rem;overflow:visible}
.key.mark{width:13px;height:13px;vertical-align:-1px}
.plot,.lane{display:grid;grid-template-columns:3.1rem minmax(0,1fr)}
.area{position:relative;min-height:12.5rem;grid-column:2;touch-action:pan-y}
.wide .area{min-height:19rem}
.square .plot{flex:none}
.square .area{aspect-ratio:1;min-height:0;max-height:24rem;max-width:24rem}
.square .bottom{max-width:24rem}
.area>svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.side{position:relative;grid-row:1;grid-column:1;font-size:.75rem;color:var(--dim)}
.side span{position:absolute;right:.4rem;transform:translateY(50%);white-space:nowrap}
.bottom{position:relative;grid-column:2;height:1.4rem;font-size:.75rem;color:var(--dim)}
.bottom span{position:absolute;top:.2rem;transform:translateX(-50%);white-space:nowrap}
.side span,.bottom span{font-variant-numeric:tabular-nums}
.line{fill:none;stroke-width:2;stroke-linejoin:round;vector-effect:non-scaling-stroke}
.dot{fill:none;stroke-width:5.5;stroke-linecap:round;vector-effect:non-scaling-stroke}
.grid{stroke:var(--grid);stroke-width:1;vector-effect:non-scaling-stroke;opacity:.7}
.diagonal{stroke:var(--dim);stroke-dasharray:5 4;vector-effect:non-scaling-stroke}
.shade0{fill:var(--even);background:var(--even)}
.shade1{fill:var(--odd);background:var(--odd)}
path.area{position:static;fill-opacity:.3;stroke-width:1.6;
vector-effect:non-scaling-stroke}
path.mark{stroke:var(--card);stroke-width:2;fill-opacity:.9}
.cross,.upright{position:absolute;top:0;bottom:0;width:0;border-left:1px solid var(--ink);
pointer-events:none}
.cross{display:none}
.upright{border-left-style:dashed}
.upright em,.level em,.corner{font-style:normal;font-size:.75rem;
color:var(--dim);white-space:nowrap}
.upright em{position:absolute;left:.3rem}
.upright.left em{left:auto;right:.3rem}
.level{position:absolute;left:0;right:0;border-top:1px dashed var(--dim);pointer-events:none}
.level em{position:absolute;left:.3rem;bottom:.05rem;padding:0 .2rem;border-radius:.2rem;
background:color-mix(in srgb,var(--card) 75%,transparent)}
.level.below em{bottom:auto;top:.05rem}
.label{position:absolute;top:0;padding-left:.25rem;font-size:.68rem;line-height:1;
color:var(--dim);pointer-events:none}
.square .area path.mark{transform:scale(1.35)}
@media (max-width:45rem){.square .area path.mark{transform:scale(2)}}
.corner{position:absolute}
.corner.high{left:.5rem;top:.3rem}
.corner.low{right:.5rem;bottom:.3rem}
"""

_MARKS = """
.lanes{margin-bottom:.3rem}
.lane{height:1.25rem}
.tag{font-size:.7rem;line-height:1.25rem;padding-right:.4rem;text-align:right;color:var(--dim);
overflow:hidden;white-space:nowrap}
.track{position:relative;border-bottom:1px solid var(--rule)}
.track i{position:absolute;top:.2rem;bottom:.2rem;width:3px;margin-left:-1.5px;background:var(--c5)}
.phase{position:absolute;top:0;bottom:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;
font-size:.72rem;line-height:1.2rem;padding:0 .3rem;border-left:1px solid var(--rule)}
.event{stroke:var(--c5);stroke-width:1.2;vector-effect:non-scaling-stroke;opacity:.75;fill:none}
path.escape{stroke:var(--c1);stroke-dasharray:6 3}
path.learning_rate{stroke:var(--c2);stroke-dasharray:2 3}
path.non_finite{stroke:var(--bad)}
path.rollback{stroke:var(--c3);stroke-dasharray:9 3 2 3}
path.resume{stroke:var(--c5);stroke-dasharray:1 3}
.track i.escape{background:var(--c1)}
.track i.learning_rate{background:var(--c2)}
.track i.non_finite{background:var(--bad)}
.track i.rollback{background:var(--c3)}
.track i.noise{background:var(--c4)}
.tag.escape{color:var(--c1)}
.tag.learning_rate{color:var(--c2)}
.tag.non_finite{color:var(--bad)}
.tag.rollback{color:var(--c3)}
.tag.noise{color:var(--c4)}
.slice{margin-bottom:.8rem}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(45%,15rem),1fr));gap:.6rem}
.panels img{display:block;width:100%;height:auto;image-rendering:pixelated;border-radius:.25rem}
.panels span{font-size:.8rem;color:var(--dim)}
.chips i{display:inline-block;width:.9rem;height:.9rem;border-radius:.2rem;margin-right:.35rem;
vertical-align:-.1rem}
.chips i.ramp{width:5rem;margin:0 .25rem}
footer{padding:2rem}
main{padding-bottom:3rem}
@media print{body{background:#fff;font-size:10pt}nav,.cross{display:none}
figure,.card,tr{break-inside:avoid}h2,h3{break-after:avoid}
.shade0,.shade1,.bar,.bar i,.track i,.chips i,.remedy{print-color-adjust:exact;
-webkit-print-color-adjust:exact}.scroll{overflow:visible;max-height:none}
th,td,pre{overflow-wrap:break-word;white-space:normal}pre{white-space:pre-wrap}.lines{min-width:0}
.charts{grid-template-columns:1fr 1fr}}
"""

_SERIES = "".join(
    f".line.c{i},.dot.c{i}{{stroke:var(--c{i})}}path.mark.c{i},path.area.c{i}{{fill:var(--c{i})}}"
    f"path.area.c{i}{{stroke:var(--c{i})}}"
    for i in range(7)
)

STYLE = "".join((_COLOURS, _WORDS, _BOXES, _CHARTS, _MARKS, _SERIES))
