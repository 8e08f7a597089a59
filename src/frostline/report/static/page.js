"use strict";

// Colours of arms are chosen for white paper. On a dark page the same hue is made light enough to be seen.
const colours = (() => {
  const parse = (text) => {
    let found = /^#([0-9a-f]{3,8})$/i.exec(text);
    if (found) {
      const digits = found[1].length < 6 ? [...found[1]].map((digit) => digit + digit).join("") : found[1];
      const bytes = digits.match(/../g).map((pair) => parseInt(pair, 16));
      return { rgb: bytes.slice(0, 3), alpha: bytes.length > 3 ? bytes[3] / 255 : 1 };
    }
    found = /^rgba?\(\s*([\d.]+)[\s,]+([\d.]+)[\s,]+([\d.]+)(?:[\s,/]+([\d.]+))?\s*\)$/i.exec(text);
    return found && { rgb: found.slice(1, 4).map(Number), alpha: found[4] === undefined ? 1 : Number(found[4]) };
  };
  const luminance = (rgb) => {
    const [red, green, blue] = rgb.map((byte) => {
      const share = byte / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const paper = () => parse(getComputedStyle(document.body).backgroundColor).rgb;
  const dark = () => luminance(paper()) < 0.2;
  const adapt = (text) => {
    const given = dark() ? parse(text) : null;
    if (!given) return text;
    const ground = luminance(paper());
    let rgb = given.rgb;
    if (Math.max(...rgb) - Math.min(...rgb) <= 12) {
      rgb = rgb.map((byte) => Math.round(240 - 0.85 * byte)); // greys change places: black is what stands out
    } else {
      for (let step = 0; step < 20 && (luminance(rgb) + 0.05) / (ground + 0.05) < 4; step += 1) {
        rgb = rgb.map((byte) => Math.round(byte + 0.1 * (255 - byte)));
      }
    }
    return `rgba(${rgb.join(",")},${given.alpha})`;
  };
  return { adapt, dark };
})();

const figures = (() => {
  const source = document.getElementById("charts");
  const charts = source ? JSON.parse(source.textContent) : {};
  const plots = [...document.querySelectorAll(".plot")];
  const seen = new Set();
  const stale = new Set(plots);
  const hidden = new Set();

  // A copy with every colour adapted. Colour scales are left: their dark end is meant.
  const themed = (value, key = "") => {
    if (typeof value === "string") return /colou?r$/i.test(key) ? colours.adapt(value) : value;
    if (Array.isArray(value)) return key === "colorscale" ? value : value.map((item) => themed(item, key));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, themed(item, name)]));
  };
  const template = () => {
    const style = getComputedStyle(document.documentElement);
    const body = getComputedStyle(document.body);
    // Plotly reads no light-dark(): the browser is asked for what it comes to.
    const probe = document.createElement("i");
    document.body.append(probe);
    const of = (name) => {
      probe.style.color = `var(--${name})`;
      return getComputedStyle(probe).color;
    };
    const axis = { gridcolor: of("hair"), linecolor: of("rule"), zerolinecolor: of("rule"), tickcolor: of("rule"), automargin: true, title: { font: { size: 12, color: of("soft") }, standoff: 10 }, tickfont: { color: of("soft") } };
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: style.getPropertyValue("--sans"), size: 12, color: body.color },
      hoverlabel: { bgcolor: of("panel"), bordercolor: of("rule"), font: { color: body.color, size: 12 }, namelength: 40 },
      legend: { orientation: "h", yanchor: "bottom", y: 1.02, xanchor: "left", x: 0 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: of("rule"), activecolor: body.color },
      margin: { l: 48, r: 12, t: 18, b: 44 },
      xaxis: axis,
      yaxis: axis,
    };
    probe.remove();
    return { layout };
  };
  const armOf = (trace) => (trace.meta && typeof trace.meta === "object" ? trace.meta.arm : undefined);

  const draw = (plot) => {
    const given = charts[plot.dataset.chart];
    const figure = themed(given);
    // Arms are named by the chips, once for all charts; a legend is left for what is no arm.
    const others = given.data.some((trace) => armOf(trace) === undefined && trace.name && trace.showlegend !== false);
    for (const trace of figure.data) {
      const arm = armOf(trace);
      if (arm !== undefined && document.querySelector(".chips")) trace.showlegend = false;
      if (hidden.has(arm)) trace.visible = false;
    }
    const { title, width, height, ...layout } = figure.layout;
    layout.template = template();
    layout.uirevision = "kept";
    if (!others && document.querySelector(".chips")) layout.showlegend = false;
    // A finger that drags wants to scroll the page.
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
    stale.delete(plot);
    Plotly.react(plot, figure.data, layout, {
      responsive: true,
      displaylogo: false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "pan2d"],
      toImageButtonOptions: { filename: plot.dataset.chart, scale: 2 },
    });
  };
  const redraw = () => {
    for (const plot of plots) stale.add(plot);
    for (const plot of seen) draw(plot);
  };
  const watch = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) seen.add(target);
        else seen.delete(target);
        if (isIntersecting && stale.has(target)) draw(target);
      }
    },
    { rootMargin: "400px" },
  );
  for (const plot of plots) {
    const { layout = {} } = charts[plot.dataset.chart];
    plot.style.height = `${layout.height ?? 380}px`;
    const starts = Object.keys(layout).filter((key) => /^xaxis\d*$/.test(key)).map((key) => (layout[key].domain ?? [0])[0]);
    const columns = new Set(starts).size;
    if (columns > 1) plot.style.minWidth = `${columns * 15}rem`;
    watch.observe(plot);
  }
  return { redraw, hidden };
})();

// Light and dark
(() => {
  const root = document.documentElement;
  const button = document.querySelector(".theme");
  const apply = () => {
    const dark = colours.dark();
    root.classList.toggle("dark", dark);
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${dark ? "light" : "dark"} colours`);
    for (const sign of document.querySelectorAll(".sign")) {
      sign.style.setProperty("--arm", colours.adapt(sign.dataset.colour));
    }
    figures.redraw();
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = colours.dark() ? "light" : "dark";
    try {
      localStorage.setItem("frostline-theme", root.dataset.theme);
    } catch {
      // Not allowed to keep it: it holds for this visit.
    }
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  apply();
})();

// Arms
(() => {
  const bar = document.querySelector(".chips");
  if (!bar) return;
  const chips = [...bar.querySelectorAll(".chip")];
  const all = bar.querySelector(".all");
  const apply = () => {
    for (const chip of chips) chip.setAttribute("aria-pressed", String(!figures.hidden.has(chip.dataset.arm)));
    for (const row of document.querySelectorAll("tr[data-arm]")) {
      row.classList.toggle("dim", figures.hidden.has(row.dataset.arm));
    }
    all.hidden = figures.hidden.size === 0;
    figures.redraw();
  };
  for (const chip of chips) {
    const { arm } = chip.dataset;
    chip.addEventListener("click", () => {
      if (!figures.hidden.delete(arm)) figures.hidden.add(arm);
      apply();
    });
    chip.addEventListener("dblclick", () => {
      for (const other of chips) figures.hidden.add(other.dataset.arm);
      figures.hidden.delete(arm);
      apply();
    });
  }
  all.addEventListener("click", () => {
    figures.hidden.clear();
    apply();
    chips[0].focus();
  });
  bar.hidden = false;
})();

// Tables: the first click on numbers puts the highest first, the second the lowest, the third all as they were.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    const numeric = head.dataset.kind === "number";
    const order = numeric ? ["descending", "ascending"] : ["ascending", "descending"];
    const key = (row) => row.cells[index].dataset.value;
    head.querySelector("button").addEventListener("click", () => {
      const next = order[order.indexOf(head.getAttribute("aria-sort")) + 1];
      for (const other of heads) other.removeAttribute("aria-sort");
      if (next) head.setAttribute("aria-sort", next);
      const sign = next === "descending" ? -1 : 1;
      const compare = (one, two) => {
        const [a, b] = [key(one), key(two)];
        if (a === "" || b === "") return (a === "") - (b === ""); // what is not defined stays last
        return sign * (numeric ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true }));
      };
      body.append(...(next ? [...original].sort(compare) : original));
    });
  });
}

// Long tables
for (const button of document.querySelectorAll(".unfold")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    button.closest(".table").querySelector("table").classList.remove("folded");
    button.remove();
  });
}

// Copies of tables
for (const box of document.querySelectorAll(".table")) {
  const texts = JSON.parse(box.querySelector(".copy-texts").textContent);
  const line = box.querySelector(".copies");
  const say = line.querySelector("[role=status]");
  line.hidden = false;
  line.addEventListener("click", async ({ target }) => {
    if (!target.dataset.copy) return;
    const text = texts[target.dataset.copy];
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page from a file may not be allowed to: the old way.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    say.textContent = "copied";
    setTimeout(() => { say.textContent = ""; }, 1500);
  });
}

// Where the reader is, in the list of contents; on a narrow screen the list starts folded.
(() => {
  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const parts = [...links.keys()].map((name) => document.getElementById(name)).filter(Boolean);
  if (!matchMedia("(min-width: 76rem)").matches) document.querySelector(".contents details").open = false;
  const mark = () => {
    const passed = parts.filter((part) => part.getBoundingClientRect().top < 160);
    const atEnd = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 4;
    const current = atEnd ? parts.at(-1) : passed.at(-1) ?? parts[0];
    for (const [name, link] of links) {
      if (name === current?.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("scroll", mark, { passive: true });
  mark();
})();

// On paper everything is open.
(() => {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("main details:not([open])")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
  });
})();
