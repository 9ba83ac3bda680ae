"use strict";
// Draws each namespace, filters the tables, and keeps the state of the view in the fragment of the address.
(() => {
  const MOST = { sources: 40, policies: 40, instances: 24 };
  const SIGNS = { holds: "✓", broken: "✕", "not decided": "?" };
  const IDLE = "Point at a policy, or move to it with the Tab key, to see what would be lost without it.";
  const SVG = "http://www.w3.org/2000/svg";
  let drawings = {};
  let sections = [];
  let view = new URLSearchParams();
  const $ = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  function svg(name, attributes, ...children) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  // The lines of a text in a box that holds `most` characters in a line.
  function wrapped(text, most, lines = 3) {
    const found = [];
    let rest = [...text];
    while (rest.length && found.length < lines) {
      let cut = rest.length <= most ? rest.length : most;
      if (cut < rest.length) {
        const at = Math.max(...[" ", "-", "/", ".", ","].map((one) => rest.lastIndexOf(one, cut - 1)));
        if (at > most / 2) cut = at + 1;
      }
      found.push(rest.slice(0, cut).join(""));
      rest = rest.slice(cut);
    }
    if (rest.length) found[found.length - 1] = found[found.length - 1].slice(0, most - 1) + "…";
    return found;
  }

  // What is drawn: the instances that the filter leaves, the policies and sources that have a line to them, the worst first.
  function chosen(drawing, visible) {
    const badness = (one) => Math.min(...one.ports.map(([, state]) => Object.keys(SIGNS).indexOf(state) % 3 || 9), 9);
    const order = [...visible].filter((one) => drawing.instances[one].ports.length);
    order.sort((a, b) => badness(drawing.instances[a]) - badness(drawing.instances[b]) || a - b);
    const instances = new Set(order.slice(0, MOST.instances));
    const sources = new Set();
    const policies = new Set();
    const take = (set, most, one) => one === -1 || set.has(one) || (set.size < most && Boolean(set.add(one)));
    const both = (source, policy) => take(sources, MOST.sources, source) && take(policies, MOST.policies, policy);
    const cut = drawing.cut.filter(([, , instance]) => instances.has(instance));
    cut.forEach(([source, by]) => by.forEach((policy) => both(source, policy)));
    const lines = drawing.lines.filter(([source, policy, instance]) => instances.has(instance) && both(source, policy));
    const walls = drawing.isolates.filter(([policy, instance]) => instances.has(instance) && take(policies, MOST.policies, policy));
    return { instances, sources, policies, cut, lines, walls, more: order.length - instances.size };
  }

  function draw(section) {
    const box = $("[data-drawing]", section);
    const name = section.dataset.namespace;
    const drawing = drawings[name];
    const visible = new Set(all("tr[data-instance]:not([hidden])", section).map((row) => Number(row.dataset.instance)));
    const shown = chosen(drawing, visible);
    box.replaceChildren();
    section.dataset.drawn = "yes";
    if (!shown.instances.size) return;
    const width = Math.max(box.parentElement.clientWidth - 2, 320);
    const gap = width < 640 ? 22 : Math.min(150, width / 7);
    const column = (width - 2 * gap) / 3;
    const letter = width < 640 ? 6.9 : 7.8;
    const most = Math.floor((column - 18) / letter);
    const graph = new dagre.graphlib.Graph();
    graph.setGraph({ rankdir: "LR", nodesep: 12, ranksep: gap, marginx: 1, marginy: 1 });
    graph.setDefaultEdgeLabel(() => ({}));
    const nodes = new Map();
    const add = (key, kind, head, tail = [], extra = 0) => {
      const lines = [...head, ...tail];
      const node = { key, kind, lines, soft: head.length, width: column, height: 16 + 17 * lines.length + extra };
      nodes.set(key, node);
      graph.setNode(key, { width: node.width, height: node.height });
    };
    for (const one of shown.sources) {
      const [head, tail] = drawing.sources[one].split(/: (.*)/s);
      add(`s${one}`, "source", wrapped(head, most), tail ? wrapped(tail, most) : []);
    }
    for (const one of shown.policies) add(`p${one}`, "policy", wrapped(drawing.policies[one].name, most));
    for (const one of shown.instances) {
      const { name: title, component, pods, ports } = drawing.instances[one];
      add(`i${one}`, "pods", wrapped(title, most, 2), wrapped(`${component}, ${pods}`, most + 2, 2), 22 * ports.length);
    }
    const connect = (from, to, weight, minlen = 1) => graph.setEdge(from, to, { weight, minlen });
    for (const [source, policy, instance] of shown.lines) {
      if (policy === -1) connect(`s${source}`, `i${instance}`, 2, 2);
      else { connect(`s${source}`, `p${policy}`, 2); connect(`p${policy}`, `i${instance}`, 3); }
    }
    for (const [source, by, instance] of shown.cut) {
      const walls = by.filter((policy) => shown.policies.has(policy));
      walls.forEach((policy) => { connect(`s${source}`, `p${policy}`, 1); connect(`p${policy}`, `i${instance}`, 1); });
      if (!walls.length) connect(`s${source}`, `i${instance}`, 1, 2);
    }
    for (const [policy, instance] of shown.walls) if (!graph.hasEdge(`p${policy}`, `i${instance}`)) connect(`p${policy}`, `i${instance}`, 1);
    dagre.layout(graph);
    const columns = { source: 0, policy: column + gap, pods: 2 * (column + gap) };
    let height = 0;
    for (const node of nodes.values()) {
      node.x = columns[node.kind] + 1;
      node.y = graph.node(node.key).y - node.height / 2 + 26;
      height = Math.max(height, node.y + node.height + 8);
    }
    const root = svg("svg", { width: width + 2, height, viewBox: `0 0 ${width + 2} ${height}`, role: "group", "aria-label": "Sources on the left, policies in the middle, pods on the right" });
    [["Sources", 0], ["Policies", column + gap], ["Pods", 2 * (column + gap)]].forEach(([text, x]) => root.append(svg("text", { class: "head", x: x + 2, y: 14 }, text)));
    const portY = (instance, port) => { const node = nodes.get(`i${instance}`); return node.y + node.height - 22 * (drawing.instances[instance].ports.length - port) + 8; };
    const paths = new Map();
    const line = (from, y, instance, port, kind, policies) => {
      const start = nodes.get(from);
      const to = instance === null ? nodes.get(port) : nodes.get(`i${instance}`);
      const [x1, y1, x2] = [start.x + column, y ?? start.y + start.height / 2, to.x];
      const y2 = instance === null ? to.y + to.height / 2 : portY(instance, port);
      const middle = x1 + (x2 - x1) / 2;
      const key = `${x1},${y1},${x2},${y2},${kind}`;
      if (!paths.has(key)) {
        const path = svg("path", { class: `line ${kind}`, d: `M${x1},${y1}C${middle},${y1} ${middle},${y2} ${x2},${y2}`, "aria-hidden": "true" });
        path.about = { policies: new Set(), places: new Set(), ends: new Set() };
        paths.set(key, path);
        root.append(path);
        if (kind.startsWith("deny") && instance !== null) root.append(svg("text", { class: "cross", x: x2 - 13, y: y2 + 5, "aria-hidden": "true" }, "✕"));
      }
      const { about } = paths.get(key);
      policies.forEach((one) => about.policies.add(one));
      about.ends.add(from); about.ends.add(to.key);
      if (instance !== null) about.places.add(`${instance}.${port}`);
    };
    for (const [policy, instance] of shown.walls) {
      const opens = shown.lines.some((one) => one[1] === policy && one[2] === instance) || shown.cut.some(([, by, at]) => at === instance && by.includes(policy));
      if (!opens) drawing.instances[instance].ports.forEach((_, port) => line(`p${policy}`, null, instance, port, "wall", [policy]));
    }
    for (const [source, policy, instance, port] of shown.lines) {
      const kind = /^(Deny|Pass) /.test(drawing.sources[source]) ? "deny" : /^perhaps/.test(drawing.sources[source]) || drawing.instances[instance].ports[port][1] === "not decided" ? "unsure" : "open";
      if (policy === -1) line(`s${source}`, null, instance, port, kind, []);
      else { line(`s${source}`, null, null, `p${policy}`, kind, [policy]); line(`p${policy}`, null, instance, port, kind, [policy]); }
    }
    for (const [source, by, instance, port] of shown.cut) {
      const walls = by.filter((policy) => shown.policies.has(policy));
      walls.forEach((policy) => { line(`s${source}`, null, null, `p${policy}`, "deny", [policy]); line(`p${policy}`, null, instance, port, "deny", [policy]); });
      if (!walls.length) line(`s${source}`, null, instance, port, "deny", []);
    }
    for (const node of nodes.values()) root.append(box_of(node, drawing, shown, section));
    box.append(root);
    performance.mark("drawn");
    if (shown.more > 0) box.append(note(`The drawing shows ${shown.instances.size} of ${shown.instances.size + shown.more} instances, the worst first. Search for an instance to see it.`));
    mark(section);
  }

  function note(text) {
    const paragraph = document.createElement("p");
    paragraph.className = "note";
    paragraph.textContent = text;
    return paragraph;
  }

  function box_of(node, drawing, shown, section) {
    const number = Number(node.key.slice(1));
    const group = svg("g", { class: `node ${node.kind}`, "data-key": node.key });
    group.append(svg("rect", { class: "box", x: node.x, y: node.y, width: node.width, height: node.height, rx: 8 }));
    node.lines.forEach((text, index) => {
      const soft = index >= node.soft;
      group.append(svg("text", { class: soft ? "soft" : "name", x: node.x + 10, y: node.y + 21 + 17 * index }, text));
    });
    if (node.kind === "source" && drawing.sources[number].startsWith("✕")) group.classList.add("cut");
    if (node.kind === "source") group.append(svg("title", {}, drawing.sources[number]));
    if (node.kind === "pods") {
      drawing.instances[number].ports.forEach(([text, state], port) => {
        const y = node.y + node.height - 22 * (drawing.instances[number].ports.length - port) + 12;
        const row = svg("g", { class: `port ${state.replace(" ", "-")}`, "data-place": `${number}.${port}` });
        row.append(svg("text", { x: node.x + 10, y }, `${SIGNS[state]} ${text}`));
        group.append(row);
      });
    }
    if (node.kind === "policy") {
      const policy = drawing.policies[number];
      const lost = policy.without.length;
      if (!shown.lines.some((one) => one[1] === number)) group.classList.add("idle");
      const words = lost ? `${lost} ${lost === 1 ? "thing" : "things"} would be lost without it` : "nothing would be lost without it";
      for (const [key, value] of Object.entries({ role: "button", tabindex: "0", "aria-pressed": "false", "aria-label": `${policy.kind} ${policy.name}: ${words}` })) group.setAttribute(key, value);
      group.addEventListener("pointerenter", () => point(section, number));
      group.addEventListener("pointerleave", () => mark(section));
      group.addEventListener("focus", () => point(section, number));
      group.addEventListener("blur", () => mark(section));
      group.addEventListener("click", () => pin(section, number));
      group.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pin(section, number); } });
    }
    return group;
  }

  // Show what would be lost without a policy.
  function point(section, number) {
    const drawing = drawings[section.dataset.namespace];
    const policy = drawing.policies[number];
    const root = $("svg", section);
    const lost = new Set(policy.without.filter(([instance]) => instance !== -1).map(([instance, port]) => `${instance}.${port}`));
    const on = new Set([`p${number}`]);
    if (root) {
      root.classList.add("pointing");
      for (const path of all("path.line", root)) {
        const own = path.about.policies.has(number);
        path.classList.toggle("on", own);
        path.classList.toggle("lost", own && ([...path.about.places].some((one) => lost.has(one)) || (!path.about.places.size && lost.size > 0)));
        if (own) path.about.ends.forEach((one) => on.add(one));
      }
      all(".node", root).forEach((one) => one.classList.toggle("on", on.has(one.dataset.key)));
      all(".port", root).forEach((one) => one.classList.toggle("lost", lost.has(one.dataset.place)));
    }
    const caption = $(".without", section);
    const title = document.createElement("strong");
    title.textContent = policy.without.length ? `Without ${policy.name}, this is lost:` : `Without ${policy.name}, nothing is lost.`;
    const list = document.createElement("ul");
    for (const [, , message, decided] of policy.without.slice(0, 12)) {
      const item = document.createElement("li");
      item.textContent = decided ? message : `perhaps: ${message}`;
      list.append(item);
    }
    if (policy.without.length > 12) list.append(Object.assign(document.createElement("li"), { textContent: `and ${policy.without.length - 12} more` }));
    caption.replaceChildren(title, ...(policy.without.length ? [list] : []));
    caption.className = `without ${policy.without.length ? "bad" : "good"}`;
  }

  // Show the pinned policy of a section, or none.
  function mark(section) {
    const drawing = drawings[section.dataset.namespace];
    const pinned = view.get("in") === section.dataset.namespace ? drawing.policies.findIndex((one) => one.name === view.get("policy")) : -1;
    for (const group of all(".policy", section)) {
      const is = group.dataset.key === `p${pinned}`;
      group.classList.toggle("chosen", is);
      group.setAttribute("aria-pressed", String(is));
    }
    all("tr[data-policy]", section).forEach((row) => row.classList.toggle("chosen", Number(row.dataset.policy) === pinned));
    if (pinned !== -1) { point(section, pinned); return; }
    all("svg", section).forEach((root) => root.classList.remove("pointing"));
    all(".lost, .on", section).forEach((one) => { if (one.closest("svg")) one.classList.remove("lost", "on"); });
    const caption = $(".without", section);
    caption.className = "without";
    caption.textContent = IDLE;
  }

  function pin(section, number) {
    const drawing = drawings[section.dataset.namespace];
    const is = view.get("in") === section.dataset.namespace && view.get("policy") === drawing.policies[number].name;
    const before = sections.find((one) => one.dataset.namespace === view.get("in"));
    if (is) { view.delete("in"); view.delete("policy"); } else { view.set("in", section.dataset.namespace); view.set("policy", drawing.policies[number].name); }
    keep();
    if (before && before !== section) mark(before);
    mark(section);
  }

  function keep() {
    const text = view.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  function filter() {
    const [words, state, space] = [(view.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean), view.get("state") || "", view.get("ns") || ""];
    let any = false;
    for (const section of sections) {
      const name = section.dataset.namespace;
      let rows = 0;
      for (const row of all("[data-row]", section)) {
        row.text ??= `${name} ${row.textContent}`.toLowerCase();
        row.hidden = !(words.every((word) => row.text.includes(word)) && (!state || row.dataset.state === state));
        rows += !row.hidden;
      }
      for (const table of all(".scroll", section)) table.hidden = !$("tbody tr:not([hidden])", table);
      section.hidden = (space && space !== name) || (!rows && Boolean(words.length || state));
      $(".picture", section).hidden = !$("tr[data-instance]:not([hidden])", section);
      any ||= !section.hidden;
      if (section.dataset.drawn) { section.dataset.drawn = ""; seen.unobserve(section); seen.observe(section); }
    }
    $("#nothing").hidden = any;
  }

  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting && !target.dataset.drawn && !target.hidden) draw(target);
  }, { rootMargin: "300px" });

  function read() {
    view = new URLSearchParams(location.hash.slice(1));
    const form = $(".tools");
    for (const field of all("[name]", form)) { field.value = view.get(field.name) || ""; }
    if (["q", "state", "ns"].some((one) => view.has(one)) || sections.some((one) => one.dataset.drawn)) filter();
    sections.filter((one) => one.dataset.drawn).forEach(mark);
    const section = sections.find((one) => one.dataset.namespace === view.get("in"));
    if (section && !section.hidden) { if (!section.dataset.drawn) draw(section); else mark(section); section.scrollIntoView(); }
  }

  function start() {
    drawings = JSON.parse($("#drawings").textContent);
    sections = all(".namespace");
    const form = $(".tools");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", ({ target }) => {
      if (target.value) view.set(target.name, target.value); else view.delete(target.name);
      keep();
      filter();
    });
    $("#link").addEventListener("click", ({ currentTarget }) => copy(location.href, currentTarget));
    $("main").addEventListener("click", (event) => {
      const button = event.target.closest("[data-copy]");
      if (button) copy(document.getElementById(button.dataset.copy).textContent, button);
      const row = event.target.closest("tr[data-policy] a") && event.target.closest("tr");
      if (row) {
        event.preventDefault();
        const section = row.closest(".namespace");
        pin(section, Number(row.dataset.policy));
        $(".picture", section).scrollIntoView({ block: "nearest" });
      }
    });
    read();
    const first = sections.find((one) => !one.hidden);
    if (first && !first.dataset.drawn) draw(first);
    sections.forEach((one) => seen.observe(one));
  }

  async function copy(text, button) {
    const before = button.textContent;
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { button.textContent = "Copying is not allowed here"; }
    setTimeout(() => { button.textContent = before; }, 2000);
  }

  let width = 0;
  let later = 0;
  addEventListener("resize", () => {
    clearTimeout(later);
    later = setTimeout(() => { if (innerWidth !== width) { width = innerWidth; sections.filter((one) => one.dataset.drawn).forEach(draw); } }, 150);
  });
  addEventListener("hashchange", read);
  addEventListener("beforeprint", () => sections.filter((one) => !one.dataset.drawn && !one.hidden).slice(0, 50).forEach(draw));

  // Served by the guard: take the new page when the state has changed. Where somebody reads or types stays.
  function follow() {
    const status = $("#live");
    const source = new EventSource("changes");
    const words = (text) => { status.textContent = text; };
    let busy = false;
    let again = false;
    async function take() {
      if (busy) { again = true; return; }
      busy = true;
      try {
        const answer = await fetch(location.pathname, { cache: "no-store" });
        if (!answer.ok) throw new Error(String(answer.status));
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const [x, y, focused] = [scrollX, scrollY, document.activeElement?.name];
        seen.disconnect();
        $("main").replaceWith($("main", page));
        $("header time")?.replaceWith($("header time", page));
        start();
        scrollTo(x, y);
        if (focused) $(`[name=${focused}]`)?.focus();
        words("● live");
      } catch { words("○ the guard does not answer; trying again"); }
      setTimeout(() => { busy = false; if (again) { again = false; take(); } }, 1000);
    }
    source.addEventListener("open", () => words("● live"));
    source.addEventListener("error", () => words("○ connection lost; trying again"));
    source.addEventListener("changed", take);
  }

  width = innerWidth;
  start();
  if ("live" in document.body.dataset) follow();
})();
