import test from 'ava';
import { renderBoardList } from './board-list.ts';

test('ports, what is at them, and boards that are elsewhere', (t) => {
  const text = renderBoardList(
    {
      ports: [
        {
          path: '/dev/ttyACM0',
          board: 'kitchen',
          usb: { vendorId: '303a', productId: '1001', serialNumber: '02:EC:0E:00:00:02' },
          chip: { name: 'ESP32-S3 USB-Serial-JTAG', wiring: 'usb-jtag' },
          mac: '02ec0e000002',
          holders: [{ pid: 12, command: 'minicom' }],
        },
      ],
      away: [
        {
          name: 'lab',
          address: 'rfc2217://lab.example:4000',
          foundMac: '02ec0e000009',
          firmware: '0.3.2',
        },
        { name: 'desk', usbSerial: '0001' },
      ],
      registry: 'boards.toml',
    },
    { color: false, width: 160 },
  );
  const [, , row, ...rest] = text.split('\n');
  t.deepEqual(row?.split(/ {2,}/), [
    '/dev/ttyACM0',
    'kitchen',
    'ESP32-S3 USB-Serial-JTAG',
    '303a:1001',
    '02:EC:0E:00:00:02',
    '02ec0e000002',
    '—',
    'minicom (12)',
  ]);
  t.deepEqual(rest.slice(1), [
    'Other boards in boards.toml:',
    '  lab: rfc2217://lab.example:4000, MAC 02ec0e000009, firmware 0.3.2',
    '  desk: USB serial number 0001',
  ]);
});

test('a machine without ports says so', (t) => {
  const empty = { ports: [], away: [], registry: 'boards.toml' };
  t.is(renderBoardList(empty, { color: false, width: 100 }), 'This machine has no serial ports.');
});
