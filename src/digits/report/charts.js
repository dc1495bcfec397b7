"use strict";
const chart = (() => {  // chart(holder, spec) draws a chart in Vega-Lite as wide as its holder is, and again when that changes
  const muted = "var(--muted)", line = "var(--line)";
  const config = {
    background: "transparent", font: "system-ui, sans-serif", view: { stroke: null }, range: { category: ["var(--one)", "var(--two)"] },
    axis: { domainColor: line, gridColor: line, gridOpacity: 0.6, tickColor: line, labelColor: muted, titleColor: "var(--ink)", titleFontWeight: "normal", labelFontSize: 12, titleFontSize: 13, labelOverlap: true, labelSeparation: 6 },
    axisXDiscrete: { labelAngle: 0 }, legend: { labelColor: "var(--ink)", labelFontSize: 13 }, line: { strokeWidth: 2 }, text: { color: "var(--ink)", fontSize: 13 },
  };
  const options = { renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip: { disableDefaultStyle: true }, config };  // ast: expressions are read, not run
  const specs = new WeakMap(), views = new WeakMap();
  const observer = new ResizeObserver(found => found.forEach(async ({ target, contentRect }) => {
    const width = Math.floor(contentRect.width);
    if (!width) return;  // not shown yet, or folded away
    if (views.has(target)) (await views.get(target)).view.width(width).run();
    else views.set(target, vegaEmbed(target, { ...specs.get(target), width, autosize: { type: "fit-x", contains: "padding" } }, options));
  }));
  addEventListener("click", ({ target, clientX, clientY }) => {  // a finger does not hover: a tap shows the figures, one elsewhere hides them
    document.getElementById("vg-tooltip-element")?.classList.remove("visible");
    if (target.closest(".chart svg")) target.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX, clientY }));
  });
  return (holder, spec) => { specs.set(holder, spec); observer.observe(holder); };
})();
for (const holder of document.querySelectorAll(".chart")) chart(holder, JSON.parse(holder.textContent));
