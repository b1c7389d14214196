"use strict";
// Draws the data in the page's JSON. Colours come from the style sheet, so they follow the light or dark theme.
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { axes } = data;
  const restore = (value) => {  // lines share their lists of steps and hours
    if (!value || typeof value !== "object" || value === axes) return;
    for (const [name, one] of Object.entries(value)) {
      if ((name === "x" || name === "h") && typeof one === "number") value[name] = axes[one];
      else restore(one);
    }
  };
  restore(data);
  // The library for plots is compressed: it would be larger than everything else.
  const packed = Uint8Array.from(atob(document.getElementById("library").textContent), (one) => one.charCodeAt(0));
  const library = document.createElement("script");
  library.textContent = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  document.head.append(library);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const dashes = ["solid", "dot", "dash", "dashdot", "longdash"];
  const hidden = new Set();
  let axis = "steps", smooth = 0, log = false;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const key = (index) => colour(`--c${index % 10}`);
  const faint = (hex, share) => {
    const part = (at) => parseInt(hex.slice(at, at + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${share})`;
  };
  // Plotly interprets some HTML in names, but the names of logs and folders must stay plain text.
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  const causes = {
    "finished": "--c2", "time limit": "--c8", "collision": "--c1", "roll": "--c3", "pitch": "--c6",
    "robot height": "--c4", "object height": "--c5", "value error": "--c9",
  };

  function across(line) {
    if (axis === "steps") return line;
    if (line.hours) return line.hours;
    return line.h && line.h.some((at) => at !== null) ? { ...line, x: line.h } : null;
  }

  // A mean that forgets older values, as TensorBoard smooths.
  function smoothed(values) {
    let mean = 0, weight = 0;
    return values.map((value) => {
      if (!smooth || value === null) return value;
      mean = smooth * mean + (1 - smooth) * value;
      weight = smooth * weight + (1 - smooth);
      return mean / weight;
    });
  }

  const positive = (lines) => lines.every((line) => [line.y, line.low || []].every((all) => all.every((at) => at === null || at > 0)));

  const where = () => (axis === "steps" ? `%{x:,.4~s} ${data.axis}` : "%{x:.3~f} h");

  function lineTraces(line, name, shade, extra = {}) {
    const drawn = across(line);
    if (!drawn) return [];
    const traces = [];
    const single = drawn.x.length < 3;
    if (drawn.low) {
      const edge = { x: drawn.x, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false, legendgroup: name };
      traces.push({ ...edge, y: smoothed(drawn.low) });
      traces.push({ ...edge, y: smoothed(drawn.high), fill: "tonexty", fillcolor: faint(shade, 0.18) });
    }
    traces.push({
      x: drawn.x, y: smoothed(drawn.y), name: plain(name), legendgroup: name, mode: single ? "markers" : "lines",
      line: { color: shade, width: 1.8, ...extra.line }, marker: { color: shade, size: 6 },
      hovertemplate: `<b>${extra.text ? "%{text}" : "%{y:.4~g}"}</b> at ${where()}<extra>${plain(name)}</extra>`,
      showlegend: Boolean(extra.legend), text: extra.text,
    });
    return traces;
  }

  // Legends stand beside wide figures and below the axis of narrow ones.
  function layout(extra = {}, wide = false) {
    const beside = wide && window.innerWidth > 700;
    const ink = colour("--quiet"), grid = colour("--grid");
    const side = { gridcolor: grid, linecolor: grid, zerolinecolor: grid, tickfont: { color: ink, size: 11 }, automargin: true };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "inherit", color: ink, size: 12 },
      margin: { l: 44, r: 10, t: 30, b: 34 }, modebar: { bgcolor: "rgba(0,0,0,0)", color: ink, activecolor: colour("--ink") }, hovermode: "closest", dragmode: touch ? false : "zoom",
      hoverlabel: { bgcolor: colour("--paper"), bordercolor: colour("--line"), font: { color: colour("--ink"), size: 13 } },
      legend: { ...(beside ? { x: 1.01, y: 1, tracegroupgap: 0 } : { orientation: "h", x: 0, y: -0.28, yanchor: "top" }), font: { color: ink, size: 12 }, bgcolor: "rgba(0,0,0,0)" },
      ...extra,
      xaxis: {
        ...side, tickformat: axis === "steps" ? "~s" : "~g", rangemode: "tozero",
        title: { text: axis === "steps" ? data.axis : "hours", font: { size: 11, color: ink }, standoff: 6 },
        ...extra.xaxis,
      },
      yaxis: { ...side, exponentformat: "power", ...extra.yaxis },
    };
  }

  function chart(one) {
    const shown = one.lines.filter((line) => !hidden.has(line.group));
    const several = data.groups.length > 1;
    const named = shown.some((line) => line.label);
    const traces = shown.flatMap((line) => {
      const name = [several || !line.label ? data.groups[line.group] : "", line.label].filter(Boolean).join(", ");
      // If there is one run, each network has its own colour. If there are several, each run has.
      const shade = several || one.lines.length === 1 ? key(line.group) : key(line.dash);
      return lineTraces(line, name, shade, { line: several ? { dash: dashes[line.dash % 5] } : {}, legend: named && !several });
    });
    const scaled = (one.log || log) && positive(shown);
    const bounds = one.limits.map((limit) => ({
      type: "line", xref: "paper", x0: 0, x1: 1, y0: limit, y1: limit, line: { color: colour("--bad"), width: 1.2, dash: "dash" },
    }));
    const words = one.limits.map((limit) => ({
      xref: "paper", x: 1, y: scaled ? Math.log10(limit) : limit, xanchor: "right", yanchor: "bottom", showarrow: false,
      text: `limit ${limit}`, font: { size: 11, color: colour("--bad") },
    }));
    const yaxis = scaled ? { type: "log", tickformat: "~g", dtick: "D2" } : {};
    if (!scaled && one.name === "success") Object.assign(yaxis, { tickformat: ".0%", rangemode: "tozero" });
    if (!scaled && (one.name === "fps" || one.name === "memory")) Object.assign(yaxis, { tickformat: "~s", rangemode: "tozero" });
    return [traces, layout({ shapes: bounds, annotations: words, yaxis })];
  }

  function checkpoints() {
    const traces = data.checkpoints.filter((curve) => !hidden.has(curve.group)).map((curve) => ({
      x: curve.x, y: curve.y, name: plain(curve.label), mode: "lines+markers", showlegend: data.checkpoints.length > 1,
      line: { color: key(curve.group), width: 2 }, marker: { color: key(curve.group), size: 7 },
      error_y: {
        type: "data", symmetric: false, color: faint(key(curve.group), 0.55), thickness: 1.3, width: 3,
        array: curve.y.map((at, i) => (curve.high[i] === null ? 0 : curve.high[i] - at)),
        arrayminus: curve.y.map((at, i) => (curve.low[i] === null ? 0 : at - curve.low[i])),
      },
      text: curve.episodes.map((count) => (count === null ? "" : `${count} episodes`)),
      hovertemplate: `<b>%{y:.1%}</b> at %{x:,.4~s} steps<br>%{text}<extra>${plain(curve.label)}</extra>`,
    }));
    // Checkpoints have steps, but no times.
    const xaxis = { tickformat: "~s", title: { text: data.axis, font: { size: 11, color: colour("--quiet") }, standoff: 6 } };
    return [traces, layout({ xaxis, yaxis: { tickformat: ".0%", range: [0, 1.03] } }, true)];
  }

  function profile(one) {
    const share = one.unit === "share";
    const traces = one.lines.filter((line) => !hidden.has(line.group)).flatMap((line) => {
      const shade = key(line.group), name = plain(data.groups[line.group]);
      const edge = { x: line.x, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
      return [
        { ...edge, y: line.low }, { ...edge, y: line.high, fill: "tonexty", fillcolor: faint(shade, 0.18) },
        { x: line.x, y: line.y, name, mode: "lines", line: { color: shade, width: 2 }, showlegend: false,
          hovertemplate: `<b>%{y:.0%}</b> of runs above %{x:${share ? ".0%" : ".4~g"}}<extra>${name}</extra>` },
      ];
    });
    const title = { text: plain(one.score), font: { size: 11, color: colour("--quiet") }, standoff: 6 };
    const xaxis = { tickformat: share ? ".0%" : "~g", title, rangemode: "normal" };
    return [traces, layout({ xaxis, yaxis: { tickformat: ".0%", range: [0, 1.03] } })];
  }

  function endings(lines) {
    const traces = lines.map((line, index) => {
      const shade = causes[line.label] ? colour(causes[line.label]) : key(index);
      const drawn = across(line) || line;
      return {
        x: drawn.x, y: drawn.y, name: plain(line.label), mode: "lines", stackgroup: "all", line: { width: 0.6, color: shade },
        fillcolor: faint(shade, 0.6), hovertemplate: `<b>%{y:.1%}</b> at ${where()}<extra>${plain(line.label)}</extra>`,
      };
    });
    return [traces, layout({ yaxis: { tickformat: ".0%", range: [0, 1.001] } }, true)];
  }

  const sizes = (values) => values.filter((at) => at !== null).map(Math.abs);

  // Terms may differ by many powers of ten: then each is drawn in parts of its own largest size, or all on a logarithm.
  function terms(lines) {
    const largest = lines.map((line) => Math.max(...sizes(line.y), 0));
    const seen = largest.filter((one) => one > 0);
    const apart = seen.length > 1 && Math.max(...seen) > 100 * Math.min(...seen);
    const traces = lines.flatMap((line, index) => {
      const change = (at) => (at === null ? null : log ? Math.abs(at) || null : apart && largest[index] ? at / largest[index] : at);
      const parts = ["y", "low", "high"].filter((name) => line[name] && !(log && name !== "y"));
      const drawn = { ...line, low: undefined, high: undefined, ...Object.fromEntries(parts.map((name) => [name, line[name].map(change)])) };
      const name = apart ? `${line.label} (${largest[index].toPrecision(2)})` : line.label;
      return lineTraces(drawn, name, key(index), { legend: true, text: apart || log ? line.y.map((at) => (at === null ? "" : at.toPrecision(4))) : undefined });
    });
    const title = (text) => ({ title: { text, font: { size: 11, color: colour("--quiet") } } });
    if (log) return [traces, layout({ yaxis: { type: "log", tickformat: "~g", ...title("size") } }, true)];
    return [traces, layout({ yaxis: apart ? title("share of its largest size (in brackets)") : {} }, true)];
  }

  function draw() {
    const all = data.charts.map((one) => [`plot-${one.name}`, chart(one)]);
    data.profiles.forEach((one, index) => all.push([`plot-profile-${index}`, profile(one)]));
    if (document.getElementById("raw")?.open) all.push(...data.others.map((one) => [`plot-${one.name}`, chart(one)]));
    if (data.checkpoints.length) all.push(["plot-checkpoints", checkpoints()]);
    data.endings.forEach((lines, run) => lines.length && all.push([`plot-endings-${run}`, endings(lines)]));
    data.terms.forEach((lines, run) => lines.length && all.push([`plot-terms-${run}`, terms(lines)]));
    const config = {
      responsive: true, displaylogo: false, displayModeBar: touch ? false : "hover",
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    };
    return Promise.all(all.map(([id, [traces, shape]]) => Plotly.react(id, traces, shape, config)));
  }

  document.getElementById("legend").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const group = Number(button.dataset.group), on = hidden.delete(group);
    if (!on) hidden.add(group);
    button.setAttribute("aria-pressed", String(on));
    draw();
  });
  document.getElementById("smooth").addEventListener("input", (event) => { smooth = Number(event.target.value); draw(); });
  document.getElementById("log").addEventListener("change", (event) => { log = event.target.checked; draw(); });
  document.getElementById("raw")?.addEventListener("toggle", draw);
  document.getElementById("axis").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    axis = button.dataset.axis;
    for (const one of button.parentElement.children) one.setAttribute("aria-pressed", String(one === button));
    draw();
  });
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", () => {
      const code = button.parentElement.querySelector("code");
      getSelection().selectAllChildren(code);
      const said = (word) => { button.textContent = word; setTimeout(() => { button.textContent = "copy"; }, 1500); };
      const done = navigator.clipboard ? navigator.clipboard.writeText(code.textContent) : Promise.reject(new Error("none"));
      done.then(() => said("copied"), () => said(document.execCommand("copy") ? "copied" : "select"));
    });
  }
  dark.addEventListener("change", draw);
  draw().then(() => { document.documentElement.dataset.drawn = "yes"; });
})();
