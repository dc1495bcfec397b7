"use strict";
{  // everything from names is set as text, never as HTML
const facts = JSON.parse(document.getElementById("explored").textContent);
const { classes, images, grid: [columns, rows], size: [height, width] } = facts;

const make = (tag, attributes, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const percent = thousandths => thousandths === 1000 ? ">\u00a099.9\u00a0%" : thousandths ? `${(thousandths / 10).toFixed(1)}\u00a0%` : "<\u00a00.1\u00a0%";
const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const scrolled = (label, table) => make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table);
const table = (caption, titles, lines) => make("table", {}, make("caption", {}, caption),
  make("thead", {}, make("tr", {}, ...titles.map(title => make("th", { scope: "col" }, title)))),
  make("tbody", {}, ...lines.map(([first, ...rest]) =>
    make("tr", {}, make("th", { scope: "row" }, first), ...rest.map(text => make("td", {}, text))))));

const scale = Math.max(1, Math.round(56 / Math.max(height, width)));  // whole pixels, so that no neighbour shows
document.head.append(make("style", {}, `.thumb { box-sizing: content-box; width: ${scale * width}px; height: ${scale * height}px;
  background-image: url("data:image/png;base64,${facts.sprite}"); background-size: ${scale * width * columns}px ${scale * height * rows}px; }`));
const thumb = index => {
  const made = make("span", { class: "thumb", "aria-hidden": "true" });
  made.style.backgroundPosition = `${-scale * width * (index % columns)}px ${-scale * height * Math.floor(index / columns)}px`;
  return made;
};

// What everyone said of an image: the two most probable classes
const answers = index => {
  const everyone = [...(facts.blend ? [{ name: "blend", said: facts.blend.said }] : []), ...facts.runs];
  const lines = everyone.filter(({ said }) => said[index]).map(({ name, said }) => {
    const [first, share, second, other] = said[index];
    return [name, `${classes[first]}, ${percent(share)}`, `${classes[second]}, ${percent(other)}`];
  });
  const title = `What each run says of row ${images[index][0]}, labelled ${classes[images[index][1]]}`;
  return scrolled(title, table(title, ["run", "most probable", "second"], lines));
};

const alike = index => {
  if (!facts.near[index].length) return [];
  const items = facts.near[index].map(place => {
    const [row, label] = images[place] ?? facts.others[place - images.length];
    return make("li", {}, thumb(place), `row ${row}`, make("br"), `label ${classes[label]}`);
  });
  return [make("p", {}, "The nearest labelled images, by what the models predict for all classes"), make("ul", { class: "near" }, ...items)];
};

const varied = index => {
  if (!facts.augmented) return [];
  const [name, first, copies] = facts.augmented;
  return [make("p", {}, `The same image as ${name} learns it, augmented at random`),
    make("div", { class: "near augmented" }, ...Array.from({ length: copies }, (_, copy) => thumb(first + copies * index + copy)))];
};

// Images as buttons; said: by a run or the blend
const gallery = (said, indices) => {
  const list = make("ul", { class: "images" });
  for (const index of indices) {
    const [row, label] = images[index], [first, share] = said[index];
    const lines = [`row ${row}`, `label ${classes[label]}`, `predicted ${classes[first]}, ${percent(share)}`];
    const button = make("button", { type: "button", "aria-expanded": "false" }, thumb(index), ...lines.map(line => make("span", {}, line, " ")));
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") === "true";
      list.querySelector(".said")?.remove();
      list.querySelector('[aria-expanded="true"]')?.setAttribute("aria-expanded", "false");
      if (open) return;
      button.setAttribute("aria-expanded", "true");
      button.parentNode.after(make("li", { class: "said" }, answers(index), ...alike(index), ...varied(index)));
    });
    list.append(make("li", {}, button));
  }
  return list;
};
const bySure = (said, wrong) => (a, b) => (wrong ? 1 : -1) * (said[b][1] - said[a][1]);
const errors = said => [...images.keys()].filter(index => said[index] && said[index][0] !== images[index][1]).sort(bySure(said, true));

// A confusion matrix, or a list of confusions if there are many classes; a click shows images
const confusion = ({ cells, said }) => {
  const status = make("p", { role: "status" }), shown = make("div");  // only the sentence is read aloud
  const button = ([label, first, count], text) => {
    const title = `${counted(count, "image")} of ${classes[label]} predicted as ${classes[first]}`;
    const made = make("button", { type: "button", "aria-pressed": "false", ...(text ? {} : { "aria-label": title }) }, text ? title : count.toLocaleString("en"));
    made.addEventListener("click", () => {
      const pressed = made.getAttribute("aria-pressed") === "true";
      whole.querySelector('[aria-pressed="true"]')?.setAttribute("aria-pressed", "false");
      for (const part of [status, shown]) part.replaceChildren();
      if (pressed) return;
      made.setAttribute("aria-pressed", "true");
      const found = [...images.keys()].filter(index => images[index][1] === label && said[index]?.[0] === first);
      found.sort(bySure(said, label !== first));
      const order = label === first ? "least" : "most";
      const some = found.length < count ? `${found.length || "none"} of them in this page` : "all of them";
      status.append(`${title}; ${some}${found.length > 1 ? `, ${order} confident first` : ""}.`);
      shown.append(gallery(said, found));
    });
    return made;
  };
  const whole = make("div", {});
  if (classes.length > 20) {
    whole.append(make("ul", { class: "pairs" }, ...cells.map(cell => make("li", {}, button(cell, true)))), status, shown);
    return whole;
  }
  const caption = "Rows: true class; columns: predicted class. Choose a cell to see its images.";
  const matrix = table(caption, ["", ...classes], classes.map(name => [name, ...classes.map(() => "")]));
  matrix.className = "confusion";
  matrix.tHead.rows[0].cells[0].replaceWith(make("td", {}));
  const totals = classes.map((_, label) => cells.reduce((sum, cell) => sum + (cell[0] === label ? cell[2] : 0), 0));
  const most = Math.max(1e-9, ...cells.map(([label, first, count]) => label === first ? 0 : count / totals[label]));
  for (const cell of cells) {
    const [label, first, count] = cell, place = matrix.tBodies[0].rows[label].cells[first + 1];
    if (label !== first) place.style.setProperty("--share", `${45 * count / totals[label] / most}%`);
    place.append(button(cell, false));
  }
  whole.append(scrolled("Confusion matrix", matrix), status, shown);
  return whole;
};

// Charts, where there is more than a point, and the numbers
const learning = found => {
  const parts = [], epochs = found.epoch;
  for (const [value, spec] of epochs.length > 1 ? Object.entries(facts.curves) : []) {
    const points = epochs.flatMap((epoch, at) => [["training", ""], ["validation", "valid_"]].map(([images, prefix]) => {
      const number = value === "loss" ? found[`${prefix}loss`]?.[at] : 1 - (found[`${prefix}accuracy`]?.[at] ?? NaN);
      return { fold: "mean of all", epoch, images, [value]: number };
    }).filter(point => point[value] > 0));  // on a logarithmic axis
    const holder = make("div", { class: "chart" });
    chart(holder, { ...spec, datasets: { [Object.keys(spec.datasets)[0]]: points } });
    if (points.length) parts.push(holder);
  }
  if (parts.length) parts.splice(0, parts.length, make("div", { class: "curves" }, ...parts));
  const names = Object.keys(found);
  const numbers = table("Means of the folds", names.map(name => name.replaceAll("_", " ")), epochs.map((_, at) => names.map(name => found[name][at] ?? "")));
  parts.push(make("details", {}, make("summary", {}, "The numbers"), scrolled("Learning curve in numbers", numbers)));
  return parts;
};

// The layers of a network, input to output, with the totals of weights and multiplications
const layered = rows => {
  const total = column => rows.reduce((sum, row) => sum + row[column], 0);
  const number = count => count ? count.toLocaleString("en") : "";
  const lines = [...rows, ["total", "", total(2), total(3)]].map(([words, shape, ...counts]) => [words, shape, ...counts.map(number)]);
  const made = table("From the image to the classes", ["layer", "output shape", "weights", "multiplications per image"], lines);
  made.className = "layers";
  return scrolled("The network's layers", made);
};

const runPage = run => {
  const worst = errors(run.said).slice(0, 12);
  const command = run.command ? [make("pre", { tabindex: 0 }, make("code", {}, run.command))]
    : [make("p", {}, "The params have changed since: no command of now fits it again. Its own are above.")];
  return make("div", { class: "explore" },
    make("h3", {}, "Params"), make("dl", {}, ...run.params.flatMap(([name, words]) => [make("dt", {}, name), make("dd", {}, words)])),
    ...(run.layers.length ? [make("h3", {}, "Network"), layered(run.layers)] : []),
    ...(run.curve.epoch ? [make("h3", {}, "Learning curves"), ...learning(run.curve)] : []),
    make("h3", {}, "Confusions"), confusion(run),
    ...(worst.length ? [make("h3", {}, "Most confident errors"), gallery(run.said, worst)] : []),
    make("h3", {}, "The command that fits it again"), ...command,
    ...(run.log.length ? [make("h3", {}, "The end of its log"), make("pre", { class: "log", tabindex: 0, role: "region", "aria-label": "The end of its log" }, run.log.join("\n"))] : []));
};

const listed = document.querySelector("#runs table");
listed?.classList.add("foldable");
[...listed?.tBodies[0].rows ?? []].forEach((row, place) => {
  const run = facts.runs[place], cell = row.cells[0];
  const button = make("button", { type: "button", class: "unfold", "aria-expanded": "false" }, ...cell.childNodes);
  cell.append(button);
  row.dataset.also = run.params.map(each => each.join(" ")).join(" ");  // what the text field looks at, too
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) { row.fold.remove(); return; }
    row.fold ??= make("tr", { class: "fold" }, make("td", { colspan: row.cells.length }, runPage(run)));
    row.fold.of = row;
    row.after(row.fold);
  });
});

for (const holder of document.querySelectorAll("[data-explore]")) {
  if (!facts.blend) continue;
  const { said } = facts.blend;
  holder.replaceChildren(holder.dataset.explore === "confusion" ? confusion(facts.blend) : gallery(said, errors(said).slice(0, holder.dataset.count)));
}
}
