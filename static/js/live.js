// Websockets of the live process, which serves another port of the portal's host name.

/** Open `path` (such as "/ws/jobs/5/") and call `onMessage(data)` for each JSON message.
 *  Reconnects with growing pauses; `onOpen` runs at each connection, `onLost` when one ends. Returns {send, close}. */
export function connect(path, onMessage, onOpen = () => {}, onLost = () => {}) {
  const origin = document.querySelector('meta[name="atrium-live"]')?.content;
  let socket = null;
  let pause = 1000;
  let closed = !origin;
  const open = () => {
    socket = new WebSocket(origin + path);
    socket.addEventListener("open", () => onOpen());
    socket.addEventListener("message", (event) => {
      pause = 1000; // one that opens and says nothing is no better than none
      onMessage(JSON.parse(event.data));
    });
    socket.addEventListener("close", (event) => {
      onLost();
      // 4401, 4403, 4404: the portal said no; asking again would not help.
      if (closed || (event.code >= 4400 && event.code < 4500)) return;
      setTimeout(open, pause);
      pause = Math.min(pause * 2, 30000);
    });
  };
  if (!closed) open();
  return {
    send: (data) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(data)),
    close: () => { closed = true; socket?.close(); },
  };
}
