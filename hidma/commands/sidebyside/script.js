// SPDX-License-Identifier: GPL-2.0-only
// Search, keys, and dark or light; every page is whole without it.
"use strict";
(function () {
  const names = window.HIDMA_NAMES || [];
  const box = document.getElementById("search");
  const list = document.getElementById("found");
  const help = document.getElementById("help");
  let at = 0;

  function remembered(key) {
    try { return localStorage.getItem(key); } catch (error) { return null; }
  }
  function remember(key, value) {
    try { localStorage.setItem(key, value); } catch (error) { /* a page of a file may not */ }
  }

  const theme = remembered("hidma-theme");
  if (theme) document.documentElement.dataset.theme = theme;
  function turn() {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    remember("hidma-theme", document.documentElement.dataset.theme);
  }

  function show(view) {
    document.body.classList.toggle("only-c", view === "c");
    document.body.classList.toggle("only-p", view === "p");
  }

  function search() {
    const wanted = box.value.trim().toLowerCase();
    list.textContent = "";
    at = 0;
    if (!wanted) return;
    const hits = names.filter((entry) => entry[0].toLowerCase().includes(wanted));
    hits.sort((a, b) => Number(b[0].toLowerCase().startsWith(wanted)) - Number(a[0].toLowerCase().startsWith(wanted))
      || a[0].length - b[0].length);
    for (const [name, kind, c, port] of hits.slice(0, 40)) {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = c || port;
      link.textContent = name;
      const what = document.createElement("small");
      what.textContent = " " + kind + " ";
      item.append(link, what);
      if (c && port) {
        const other = document.createElement("a");
        other.href = port;
        other.textContent = "here";
        item.append(other);
      }
      list.append(item);
    }
    if (!hits.length) {
      const item = document.createElement("li");
      item.textContent = "nothing is called so";
      list.append(item);
    }
    mark();
  }

  function mark() {
    [...list.children].forEach((item, index) => item.classList.toggle("at", index === at));
  }

  function go(step) {
    const titles = [...document.querySelectorAll(".title")];
    const edge = document.querySelector("header").getBoundingClientRect().height + 12;
    const tops = titles.map((title) => title.getBoundingClientRect().top - edge);
    let index = step > 0 ? tops.findIndex((top) => top > 1) : tops.findLastIndex((top) => top < -1);
    if (index >= 0) titles[index].scrollIntoView();
  }

  box.addEventListener("input", search);
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      at = Math.max(0, Math.min(list.children.length - 1, at + (event.key === "ArrowDown" ? 1 : -1)));
      mark();
      event.preventDefault();
    } else if (event.key === "Enter") {
      const link = list.children[at] && list.children[at].querySelector("a");
      if (link) { list.textContent = ""; box.blur(); location.href = link.href; }
    } else if (event.key === "Escape") {
      box.value = "";
      list.textContent = "";
      box.blur();
    }
  });
  list.addEventListener("click", () => { list.textContent = ""; });
  document.getElementById("theme").addEventListener("click", turn);
  document.getElementById("keys").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.target === box || event.ctrlKey || event.altKey || event.metaKey) return;
    const does = {
      "/": () => box.focus(), "n": () => go(1), "p": () => go(-1), "d": turn, "b": () => show("both"),
      "c": () => show("c"), "h": () => show("p"), "i": () => { location.href = "index.html"; }, "?": () => help.showModal(),
    }[event.key];
    if (does) { does(); event.preventDefault(); }
  });
})();
