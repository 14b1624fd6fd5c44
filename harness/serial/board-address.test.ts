import test from 'ava';
import { parseBoardAddress } from './board-address.ts';

test('a path is a local port, whatever the system calls it', (t) => {
  for (const path of ['/dev/ttyUSB0', 'COM3', '/dev/cu.usbmodem1101', '\\\\.\\COM12']) {
    t.deepEqual(parseBoardAddress(path), { kind: 'local', path });
  }
});

test('network addresses have a host and a port', (t) => {
  t.deepEqual(parseBoardAddress('rfc2217://lab.local:4000'), {
    kind: 'rfc2217',
    endpoint: { host: 'lab.local', port: 4000 },
  });
  t.deepEqual(parseBoardAddress('socket://[::1]:5000'), {
    kind: 'socket',
    endpoint: { host: '::1', port: 5000 },
  });
});

for (const [address, words] of [
  ['', 'it is empty'],
  ['http://lab:80', '"http" is no kind of port'],
  ['rfc2217://lab', 'host and port are needed'],
  ['socket://:5000', 'host and port are needed'],
  ['socket://lab:99999', 'host and port are needed'],
  ['rfc2217://lab:4000?ign_set_control', 'there is more than host and port'],
] as const) {
  test(`"${address}" is refused: ${words}`, (t) => {
    t.throws(() => parseBoardAddress(address), {
      code: 'SERIAL_ADDRESS',
      message: `"${address}" is no address of a board: ${words}.`,
    });
  });
}
