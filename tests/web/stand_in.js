// A stand-in for a browser, for the scripts that draw: elements remember what was set, and any selector finds one.

const CREATED_BY = /\[data-id="(.*)"\]/; // of what the scripts create, only cards are looked for

class StandIn extends EventTarget {
  /** @type {any} */ parent = null;
  /** @type {any[]} */ children = [];
  attributes = new Map();
  dataset = {};
  text = "";
  value = "";
  hidden = false;
  style = { setProperty: (name, value) => (this.style[name] = value) };
  childNodes = [];
  isConnected = true;
  offsetParent = true;
  pieces = new Map(); // by the selector that has found them
  content = { firstElementChild: { cloneNode: () => new StandIn() } };
  classes = new Set();
  classList = {
    toggle: (name, isOn) => (isOn ? this.classes.add(name) : this.classes.delete(name)),
    contains: (name) => this.classes.has(name),
  };

  constructor(facts = {}) {
    super();
    Object.assign(this, facts);
  }

  get textContent() {
    return this.children.length ? this.children.map((one) => one.textContent ?? one).join("") : this.text;
  }

  set textContent(text) {
    this.children = [];
    this.text = String(text);
  }

  get firstElementChild() {
    return this.querySelector(":first-child");
  }

  get elements() {
    return this.pieces;
  }

  append(...more) {
    for (const one of more) if (one instanceof StandIn) one.parent = this;
    this.children.push(...more);
  }

  prepend(...more) {
    this.append(...more);
    this.children = [...more, ...this.children.slice(0, this.children.length - more.length)];
  }

  appendChild(one) {
    this.append(one);
    return one;
  }

  insertBefore(one, next) {
    one.remove();
    one.parent = this;
    this.children.splice(next ? this.children.indexOf(next) : this.children.length, 0, one);
  }

  replaceWith(one) {
    this.parent.insertBefore(one, this);
    this.remove();
  }

  replaceChildren(...all) {
    this.children = [];
    this.append(...all);
  }

  remove() {
    if (this.parent) this.parent.children = this.parent.children.filter((one) => one !== this);
  }

  querySelector(selector) {
    const id = CREATED_BY.exec(selector)?.[1];
    if (id !== undefined) return this.children.find((one) => one.dataset?.id === id) ?? null;
    if (!this.pieces.has(selector)) this.pieces.set(selector, new StandIn());
    return this.pieces.get(selector);
  }

  querySelectorAll() {
    return [];
  }

  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }

  setAttribute(name, value) {
    this.attributes.set(name, String(value));
  }

  removeAttribute(name) {
    this.attributes.delete(name);
  }

  hasAttribute(name) {
    return this.attributes.has(name);
  }

  toggleAttribute(name, isOn) {
    if (isOn) this.attributes.set(name, "");
    else this.attributes.delete(name);
  }

  captures = new EventTarget();

  addEventListener(name, act, options) {
    if (options === true || options?.capture) this.captures.addEventListener(name, act, options);
    else super.addEventListener(name, act, options);
  }

  /** As a browser does, which calls those first that capture. */
  dispatchEvent(event) {
    let isStopped = false;
    const stop = event.stopImmediatePropagation.bind(event);
    event.stopImmediatePropagation = () => {
      isStopped = true;
      stop();
    };
    this.captures.dispatchEvent(event);
    return isStopped ? !event.defaultPrevented : super.dispatchEvent(event);
  }

  /** Press it as a person does. */
  click() {
    this.dispatchEvent(new Event("click", { cancelable: true }));
  }

  hasChildNodes() {
    return this.textContent !== "";
  }

  closest() {
    return this.querySelector(":closest");
  }

  contains = () => false;
  matches = () => false;
  checkVisibility = () => !this.hidden;
  getBoundingClientRect = () => ({ top: 0 });
  play = () => Promise.resolve();
  canPlayType = () => "probably";
  showModal() {
    this.open = true;
  }

  close() {
    this.open = false;
    this.dispatchEvent(new Event("close"));
  }

  after() {}
  focused = 0;
  focus() {
    this.focused += 1;
  }

  load() {}
  pause() {}
  reportValidity = () => true;
  scrollIntoView() {}
}

const words = new Proxy({}, { get: (_none, key) => `<${String(key)}>` });

const store = () => {
  const held = {};
  return {
    held,
    getItem: (name) => held[name] ?? null,
    setItem: (name, text) => (held[name] = text),
    removeItem: (name) => delete held[name],
  };
};

/** Return one turn of everything that is under way, without time passing. */
export const settled = async () => {
  for (let turn = 0; turn < 20; turn += 1) await null;
};

/** Let this process be a new browser with an empty page; return what it holds and what happens to it. */
export function newBrowser() {
  const page = Object.assign(new EventTarget(), {
    hidden: false,
    title: "Hunyuan UI",
    cookie: "",
    activeElement: null,
    documentElement: new StandIn(),
    body: new StandIn(),
    createElement: () => new StandIn(),
    querySelector: () => null,
    querySelectorAll: () => [],
    getElementById: () => null,
  });
  const window = Object.assign(new EventTarget(), { hunyuanWords: { en: words, zh: words }, hunyuan: {} });
  const location = { href: "http://127.0.0.1/", pathname: "/", search: "", hash: "", origin: "http://127.0.0.1" };
  const browser = { said: [], tabs: [], asked: [], answers: [], reloads: 0, window, page };
  window.top = window;
  location.reload = () => (browser.reloads += 1);
  const globals = {
    window,
    document: page,
    location,
    history: { state: null, replaceState: () => {}, pushState: () => {}, back: () => {} },
    localStorage: store(),
    sessionStorage: store(),
    navigator: { languages: ["en"], language: "en", onLine: true },
    matchMedia: () => ({ matches: false }),
    isSecureContext: false,
    innerHeight: 800,
    requestAnimationFrame: (act) => setTimeout(act, 16, 0),
    cancelAnimationFrame: clearTimeout,
    IntersectionObserver: class {
      observe() {}
      unobserve() {}
    },
    MutationObserver: class {
      observe() {}
    },
    ResizeObserver: class {
      observe() {}
    },
    HTMLMediaElement: { HAVE_CURRENT_DATA: 2, HAVE_FUTURE_DATA: 3 },
    BroadcastChannel: class extends EventTarget {
      constructor(name) {
        super();
        browser.tabs[name] = this;
      }
      postMessage(data) {
        browser.said.push(data);
      }
    },
    /** Answered by `browser.answer`, in the order of the requests. */
    fetch: (url, how) =>
      new Promise((answer, fail) => {
        const path = url.replace("gradio_api/hunyuan/", "");
        browser.asked.push({ path, method: how.method, body: how.body && JSON.parse(how.body), how, answer, fail });
      }),
  };
  for (const [name, value] of Object.entries(globals))
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });

  return Object.assign(browser, {
    kept: globals.localStorage.held,

    /** Note each event of these names that the page's parts send each other. */
    hear(...names) {
      const heard = [];
      for (const name of names) page.addEventListener(`hunyuan:${name}`, ({ detail }) => heard.push([name, detail]));
      return heard;
    },

    emit: (name, detail = null) => page.dispatchEvent(new CustomEvent(`hunyuan:${name}`, { detail })),

    /** Another tab of this browser says something. */
    hearsFromTab: (name, data) => browser.tabs[name].dispatchEvent(Object.assign(new Event("message"), { data })),

    /** Answer the oldest request of a path that waits; fails without one. */
    async answer(path, json, status = 200) {
      await settled();
      const at = browser.asked.findIndex((one) => one.path === path && !one.isAnswered);
      if (at < 0) throw new Error(`${path} is not asked for: ${browser.asked.map((one) => one.path)}`);
      const headers = { get: () => "application/json" };
      browser.asked[at].isAnswered = true;
      browser.asked[at].answer({ ok: status < 400, status, headers, json: async () => json });
      await settled();
    },

    /** How many requests of a path were sent, answered or not. */
    count: (path, method = undefined) =>
      browser.asked.filter((one) => one.path === path && (!method || one.method === method)).length,
  });
}

/** Draw a part of the page; return its elements by name, and what it triggers at the server. */
export function drawn(draw, value = null, more = {}) {
  const element = new StandIn();
  const props = { value, ...more };
  const triggered = [];
  let changed = () => {};
  const made = draw({
    element,
    props,
    trigger: (event, data) => triggered.push([event, data]),
    watch: (_name, act) => (changed = act),
  });
  return {
    made,
    element,
    props,
    triggered,
    part: (name) => element.querySelector(`[data-part="${name}"]`),
    /** The server sends another value. */
    receive(next) {
      props.value = next;
      changed();
    },
  };
}

export { StandIn };
