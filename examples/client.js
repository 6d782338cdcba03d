// A client in Node for echo without TLS: node examples/client.js PORT TEXT... sends each text and prints its echo.
const net = require("node:net");

const [port, ...texts] = process.argv.slice(2);
const socket = net.connect(Number(port), "127.0.0.1");
let data = Buffer.alloc(0);
let answers = 0;

for (const text of texts) {
  const body = Buffer.from(text, "utf8");
  const header = Buffer.alloc(4);
  header.writeUInt32BE(body.length);
  socket.write(Buffer.concat([header, body]));
}

socket.on("data", (piece) => {
  data = Buffer.concat([data, piece]); // a message may come in pieces, and several in one
  while (data.length >= 4 && data.length >= 4 + data.readUInt32BE(0)) {
    const end = 4 + data.readUInt32BE(0);
    console.log(data.toString("utf8", 4, end));
    data = data.subarray(end);
    if (++answers === texts.length) socket.end();
  }
});
socket.on("error", (error) => {
  console.error(error.message);
  process.exitCode = 69;
});
