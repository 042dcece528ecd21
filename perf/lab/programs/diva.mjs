// @diva.exchange/i2p-sam: `take` prints a destination and echoes what is forwarded to it, `call DESTINATION SIZE` sends bytes and
// wants them back.
import { createForward, createStream } from '@diva.exchange/i2p-sam';
import crypto from 'crypto';
import net from 'net';

const [what, destination, size] = process.argv.slice(2);
const session = { options: 'inbound.length=2 outbound.length=2 inbound.quantity=2 outbound.quantity=2' };

if (what === 'take') {
  const server = net.createServer((socket) => socket.pipe(socket));
  server.listen(20222, '127.0.0.1');
  const forward = await createForward({ session, forward: { host: '127.0.0.1', port: 20222, silent: true } });
  // Its public key has lost the padding, which i2pd insists on.
  console.log('DESTINATION', forward.getB32Address());
} else {
  const sent = crypto.randomBytes(Number(size));
  const stream = await createStream({ session, stream: { destination } });
  let got = Buffer.alloc(0);
  stream.on('data', (data) => {
    got = Buffer.concat([got, data]);
    if (got.length >= sent.length) {
      console.log(got.equals(sent) ? 'ok' : 'other bytes');
      process.exit(0);
    }
  });
  stream.stream(sent);
}
