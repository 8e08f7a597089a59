/* The sample sheet: one picture, two arms, and a divider between them that mouse, touch and keys move. */
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WORDS = { hit: "true positive", false: "false positive", miss: "missed", truth: "ground truth" };
  const pen = document.createElement("canvas").getContext("2d");

  const make = (name, values, parent) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  };

  const apart = (a, b) => a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;

  /* The first free place around a box for its label that lies within the picture; nothing where all are taken. */
  const place = (box, w, line, taken, width, height) => {
    const left = Math.min(Math.max(box.x, 0), width - w);
    const right = Math.min(Math.max(box.x + box.w - w, 0), width - w);
    const above = box.y - line;
    const below = box.y + box.h;
    const spots = [
      [left, above], [right, above], [left, below], [right, below],
      [left, box.y], [left, below - line], [box.x + box.w, box.y], [box.x - w, box.y],
    ];
    const fits = ([x, y]) => {
      const tag = { x, y, w, h: line };
      const inside = x >= 0 && y >= 0 && x + w <= width && y + line <= height;
      return inside && taken.every((other) => apart(tag, other));
    };
    const spot = spots.find(fits);
    return spot && { x: spot[0], y: spot[1], w, h: line };
  };

  const start = (root) => {
    const source = root.querySelector(".fl-samples-data");
    if (!source) return;
    const data = JSON.parse(source.textContent);
    const find = (selector) => root.querySelector(selector);
    const stage = find(".fl-samples-stage");
    const handle = find(".fl-samples-handle");
    const strip = find(".fl-samples-strip");
    const sides = ["a", "b"].map((side) => ({
      select: find(`select[data-side="${side}"]`),
      image: find(`.fl-samples-side[data-side="${side}"] img`),
      svg: find(`.fl-samples-side[data-side="${side}"] svg`),
      name: find(`.fl-samples-names [data-side="${side}"] b`),
      counts: find(`.fl-samples-names [data-side="${side}"] span`),
    }));
    const state = { image: 0, cut: 50 };
    const shows = (kind) => kind === "truth" || find(`input[data-kind="${kind}"]`).checked;

    const drawBoxes = (svg, marks, title) => {
      const width = stage.clientWidth;
      const height = stage.clientHeight;
      if (!width || !height) return;
      svg.replaceChildren();
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.setAttribute("aria-label", title);
      const seen = marks.filter(([kind]) => shows(kind)).map(([kind, klass, score, x1, y1, x2, y2]) => ({
        kind,
        label: data.classes[klass] + (score === null ? "" : ` ${score.toFixed(2)}`),
        box: { x: (x1 * width) / 1e4, y: (y1 * height) / 1e4, w: ((x2 - x1) * width) / 1e4, h: ((y2 - y1) * height) / 1e4 },
      }));
      for (const { kind, label, box } of seen) {
        const group = make("g", {}, svg);
        const at = { x: box.x, y: box.y, width: box.w, height: box.h };
        make("rect", { class: "case", ...at }, group);
        make("rect", { class: `line ${kind}`, ...at }, group);
        make("title", {}, group).textContent = `${label}, ${WORDS[kind]}`;
      }
      if (!find('input[data-kind="label"]').checked) return;
      const size = width < 560 ? 9.5 : 11;
      const line = size + 4;
      pen.font = `600 ${size}px system-ui, "DejaVu Sans", sans-serif`;
      const taken = [];
      for (const { kind, label, box } of seen.reverse()) {
        const tag = place(box, Math.ceil(pen.measureText(label).width) + 8, line, taken, width, height);
        if (!tag) continue;
        taken.push(tag);
        make("rect", { class: `tag ${kind}`, x: tag.x, y: tag.y, width: tag.w, height: tag.h, rx: 2 }, svg);
        make("text", { x: tag.x + 4, y: tag.y + line - 4, "font-size": size }, svg).textContent = label;
      }
    };

    const drawSide = ({ select, image, svg, name, counts }, side) => {
      const sample = data.images[state.image];
      const chosen = Number(select.value);
      const arm = data.arms[chosen];
      // The ground truth is shown on the picture of the arm that it is held against.
      const album = (arm || data.arms[Number(sides[1 - side].select.value)] || { album: 0 }).album;
      const picture = sample.pictures[album];
      if (image.src !== picture) image.src = picture;
      name.textContent = arm ? arm.name : "ground truth";
      if (arm) {
        const [hits, wrong, missed] = sample.counts[chosen];
        counts.textContent = `${hits} found, ${wrong} false, ${missed} missed\nconfidence above ${arm.threshold}`;
      } else {
        counts.textContent = `${sample.truths.length} labelled`;
      }
      image.alt = `${sample.name}, ${name.textContent}`;
      drawBoxes(svg, arm ? sample.marks[chosen] : sample.truths, `${name.textContent}: ${counts.textContent.replace("\n", ", ")}`);
    };

    const moveCut = (percent) => {
      state.cut = Math.min(100, Math.max(0, percent));
      root.style.setProperty("--cut", `${state.cut}%`);
      handle.setAttribute("aria-valuenow", Math.round(state.cut));
      const [left, right] = sides.map(({ name }) => name.textContent);
      handle.setAttribute("aria-valuetext", `${Math.round(state.cut)} % ${left}, the rest ${right}`);
    };

    const draw = () => {
      const sample = data.images[state.image];
      stage.style.setProperty("--ratio", sample.size[0] / sample.size[1]);
      sides.forEach(drawSide);
      moveCut(state.cut);
      find(".fl-samples-turn p").textContent = `${state.image + 1} of ${data.images.length}: ${sample.name}`;
      strip.querySelectorAll("button").forEach((button, at) => button.setAttribute("aria-current", at === state.image));
    };

    const turn = (to) => {
      state.image = (to + data.images.length) % data.images.length;
      draw();
      const item = strip.children[state.image];
      strip.scrollTo({ left: item.offsetLeft - (strip.clientWidth - item.clientWidth) / 2 });
    };

    data.images.forEach((sample, at) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.title = sample.name;
      const image = document.createElement("img");
      image.src = sample.pictures[0];
      image.alt = `Image ${at + 1}: ${sample.name}`;
      button.append(image);
      button.addEventListener("click", () => turn(at));
      item.append(button);
      strip.append(item);
    });

    const follow = (event) => {
      const room = stage.getBoundingClientRect();
      moveCut(((event.clientX - room.left) / room.width) * 100);
    };
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      stage.setPointerCapture(event.pointerId);
      handle.focus({ preventScroll: true, focusVisible: false });
      event.preventDefault();
      follow(event);
    });
    stage.addEventListener("pointermove", (event) => {
      if (stage.hasPointerCapture(event.pointerId)) follow(event);
    });
    handle.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 10 : 2;
      const to = {
        ArrowLeft: state.cut - step, ArrowDown: state.cut - step, ArrowRight: state.cut + step, ArrowUp: state.cut + step,
        PageDown: state.cut - 10, PageUp: state.cut + 10, Home: 0, End: 100,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      moveCut(to);
    });
    find('[data-act="previous"]').addEventListener("click", () => turn(state.image - 1));
    find('[data-act="next"]').addEventListener("click", () => turn(state.image + 1));
    find('[data-act="swap"]').addEventListener("click", () => {
      const [a, b] = sides.map(({ select }) => select.value);
      sides[0].select.value = b;
      sides[1].select.value = a;
      draw();
    });
    root.querySelectorAll("select, input").forEach((control) => control.addEventListener("change", draw));
    // Boxes are drawn in pixels of the screen, so that lines and labels keep their size at any width.
    let width = 0;
    new ResizeObserver(() => {
      if (stage.clientWidth === width || matchMedia("print").matches) return;
      width = stage.clientWidth;
      draw();
    }).observe(stage);
    draw();
  };

  document.querySelectorAll(".fl-samples").forEach(start);
})();
