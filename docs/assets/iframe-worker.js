// Lets the search work in a page that was opened as a file: there browsers refuse workers, so a hidden frame is one.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      this.inside = frame.contentWindow;
      window.addEventListener("message", (event) => {
        if (event.source === this.inside) this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      });
      this.inside.document.open();
      this.inside.document.write("<script>postMessage = (data) => parent.postMessage(data, '*')<\/script>");
      this.inside.document.write(`<script src="${url}"><\/script>`);
      this.inside.document.close();
      this.inside.addEventListener("load", () => {
        this.waiting.forEach((data) => this.deliver(data));
        this.waiting = null;
      });
    }
    deliver(data) {
      this.inside.dispatchEvent(new MessageEvent("message", { data }));
    }
    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.deliver(data);
    }
  };
}
