"""How the page looks, beyond Gradio's theme: sizes, places, and pixels that stay square."""

CSS = """
.gradio-container { max-width: 1280px !important; margin: 0 auto !important; padding: 0 !important;
  overflow: visible !important; }
.gradio-container .main { padding: 24px 28px 40px !important; max-width: none !important; }
.gradio-container .html-container { padding: 0; }
.gradio-container img { image-rendering: pixelated; border-radius: 6px; display: block; margin: 0;
  background: var(--background-fill-secondary); }
.gradio-container figure { margin: 0; }
.dark input[type="range"] { --neutral-200: var(--neutral-600); }

#heading h1 { font-size: 22px; font-weight: 650; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
#heading p { margin: 2px 0 0; }
#heading p, #stage p, #stage li, #stage figcaption, #ends figcaption, #hint .prose {
  color: var(--body-text-color-subdued); font-size: 14px; line-height: 1.45; }
#stage strong { color: var(--body-text-color); font-weight: 600; }

#room { column-gap: 36px; }
#left { position: sticky; top: 16px; }
#seed { align-items: center; }
#seed button { font-size: 15px; height: 48px; }

.stage { display: grid; grid-template-columns: minmax(0, 384px) minmax(200px, 1fr); gap: 22px 32px;
  grid-template-rows: auto 1fr; }
.stage .made { grid-row: span 2; }
.stage .made img { width: 100%; aspect-ratio: 1; }
.stage .made figcaption { display: flex; flex-wrap: wrap; gap: 8px 16px; justify-content: space-between;
  align-items: center; margin-top: 10px; }
.stage h2 { font-size: 15px; font-weight: 600; line-height: 1.3; margin: 0 0 10px; }
.stage .near figure { display: flex; gap: 14px; align-items: flex-start; }
.stage .near img { width: 128px; height: 128px; flex: none; }
.stage .missing { padding: 10px 12px; border: 1px dashed var(--border-color-primary); border-radius: 6px; margin: 0;
  overflow-wrap: anywhere; }
.stage .opinion p { margin: 6px 0 2px; }
.stage .opinion .verdict { margin: 0 0 8px; font-variant-numeric: tabular-nums; }
.stage .verdict strong { font-size: 26px; line-height: 1; letter-spacing: -0.01em; }
.stage .verdict span { margin-left: 12px; }
.stage svg { display: block; width: 100%; max-width: 340px; height: auto; overflow: visible; }
.stage svg polygon { fill-opacity: 0.45; stroke-width: 1.2; stroke-linejoin: round; }
.stage svg text { font-size: 14px; fill: var(--body-text-color-subdued); }
.stage svg .axis { stroke: var(--body-text-color-subdued); }
.stage svg line.mark { stroke: var(--body-text-color); stroke-width: 2; }
.stage svg path.mark { fill: var(--body-text-color); }
.stage .opinion ul { list-style: none; margin: 0; padding: 0; }
.stage .opinion li { display: flex; align-items: center; gap: 8px; margin: 0; padding: 1px 0;
  font-variant-numeric: tabular-nums; }
.stage .opinion li strong { min-width: 2.6em; text-align: right; }
.stage .opinion i { width: 10px; height: 10px; border-radius: 2px; flex: none; }
#stage a.download { color: var(--button-secondary-text-color); background: var(--button-secondary-background-fill);
  border-radius: 6px; padding: 5px 12px; font-size: 14px; font-weight: 500; text-decoration: none;
  white-space: nowrap; }
#stage a.download:hover { background: var(--button-secondary-background-fill-hover); }
#stage a.download:focus-visible { outline: 2px solid var(--color-accent); outline-offset: 2px; }

.ends { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
.ends img { width: 100%; max-width: 176px; aspect-ratio: 1; }
.ends figcaption { margin-top: 6px; }

/* Less room: what is known of a picture comes under it; in one column after the controls, and the picture stays in
   sight. */
@media (max-width: 1140px) {
  #room { display: grid; grid-template: "made right" auto "near right" auto "opinion right" 1fr
    / minmax(0, 340px) minmax(0, 1fr); gap: 20px 32px; }
  #left, #stage, #stage .html-container, #stage .prose, .stage { display: contents; }
  .stage .made { grid-area: made; }
  .stage .near { grid-area: near; }
  .stage .opinion { grid-area: opinion; }
  #right { grid-area: right; min-width: 0 !important; }
}
@media (max-width: 720px) {
  .gradio-container .main { padding: 16px 16px 32px !important; }
  #room { grid-template: "made" auto "right" auto "near" auto "opinion" auto / minmax(0, 1fr); gap: 18px; }
  .stage .made { position: sticky; top: 0; z-index: 60; padding: 8px 0; background: var(--body-background-fill); }
  .stage .made img { width: min(100%, 34vh); margin: 0 auto; }
  .stage .made figcaption { margin-top: 8px; }
}
"""
