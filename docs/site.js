// The search runs in a worker, which browsers refuse to pages opened from disk. There it runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc = `<script>
        self.postMessage = data => frameElement.worker.receive(data);
        self.importScripts = (...urls) => urls.reduce((done, url) => done.then(() => new Promise((load, fail) => {
          const script = document.createElement("script");
          script.src = url; script.onload = load; script.onerror = fail;
          document.head.appendChild(script);
        })), Promise.resolve());
      <\/script><script src="${url}"><\/script>`;
      this.frame.worker = this;
      this.frame.onload = () => {
        this.ready = true;
        this.waiting.splice(0).forEach(data => this.postMessage(data));
      };
      document.body.appendChild(this.frame);
    }
    postMessage(data) {
      if (this.ready) this.frame.contentWindow.dispatchEvent(new MessageEvent("message", {data}));
      else this.waiting.push(data);
    }
    receive(data) {
      const event = new MessageEvent("message", {data});
      if (this.onmessage) this.onmessage(event);
      this.dispatchEvent(event);
    }
    terminate() { this.frame.remove(); }
  };
  window.Worker = window.IFrameWorker;
}
