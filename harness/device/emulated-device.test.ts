import test from 'ava';
import { encodeServerEvent, type ServerEvent } from '../../firmware-protocol/server-event.ts';
import { Bench, babble, bytes, conserved, sentence } from './device-bench.contract.ts';
import { helloSamples } from './device-machine.ts';
import { builtInHello, deviceProfiles, diy } from './device-profile.ts';

test('the board connects with the address, query and headers of the firmware', async (t) => {
  const bench = new Bench();
  await bench.run(async () => {
    await bench.listen();
    await bench.device.boot();
  });
  const { request } = bench.connections[0]!;
  t.is(request.url, '/ws/a1b2c3d4e5f6?opus=true&vowel=true&stream_asr=true');
  t.is(request.headers.host, 'echokit.test:8080');
  t.is(request.headers['sec-websocket-extensions'], 'permessage-deflate; client_max_window_bits');
  t.is(request.headers['sec-websocket-version'], '13');
  t.is(request.headers.origin, undefined);
  t.is(request.headers['user-agent'], undefined);
  t.deepEqual(
    bench.events.filter((e) => e.type !== 'log').map((e) => e.type),
    ['connecting', 'connected', 'boot'],
  );
  t.is(bench.device.state, 'Idle');
});

test('an empty packet is concealed for 120 ms, and the board says so', async (t) => {
  const bench = new Bench();
  await bench.run(async () => {
    await bench.listen();
    await bench.device.boot();
    const [start, ...rest] = sentence('One.', 2).events;
    const empty: ServerEvent = { type: 'AudioChunk', data: new Uint8Array(0) };
    bench.connections[0]!.send(start!, empty, ...rest);
    await bench.pass(1_000_000);
  });
  const received = bench.all('frameReceived').filter(({ event }) => event.startsWith('AudioChunk'));
  t.deepEqual(
    received.map(({ concealedSamples }) => concealedSamples),
    [1920, undefined, undefined],
  );
});

test('K0 opens a second connection, drops the first without a close frame and beeps', async (t) => {
  const bench = new Bench({ latencyUs: 5_000, jitterUs: 0 });
  await bench.run(async () => {
    await bench.listen();
    await bench.device.boot();
    await bench.pass(100_000);
    bench.device.press('k0', 'short');
    await bench.pass(2_000_000);
  });
  const [first, second] = bench.connections;
  t.is(second!.request.url, '/ws/a1b2c3d4e5f6?reconnect=true&opus=true&vowel=true&stream_asr=true');
  t.is(first!.closeCode, 1006);
  t.is(second!.closeCode, undefined);
  const order = bench.events.map((e) => e.type);
  t.true(order.lastIndexOf('connected') < order.indexOf('disconnected'));
  t.is(bench.device.state, 'Listening');

  // Booted at 20 ms: two round trips. Pressed at 120 ms, screen 23.04 ms, two round trips: the
  // player is told at 163.04 ms, in the middle of its cycle 8, and takes it in cycle 9.
  const [boot] = bench.all('boot');
  t.is(boot!.speakerStartUs, 20_000);
  const takenUs = 20_000 + 9 * 16_000;
  t.is(bench.all('log').find((l) => l.message === 'Received Hello event')?.atUs, takenUs);
  const doneUs = takenUs + 43 * 16_000 + 1;
  t.like(bench.all('state'), [{ from: 'Idle', to: 'Listening', atUs: doneUs, cause: 'k0' }]);

  const speaker = bench.device.speaker();
  t.is(speaker.startUs, 20_000);
  const beep = helloSamples([builtInHello(diy)]);
  t.is(beep.length, 11_239);
  t.true(
    bytes(speaker.samples.subarray(9 * 256, 52 * 256)).equals(bytes(beep.subarray(0, 43 * 256))),
  );
  await bench.device.close();
  t.like(bench.all('finished'), [
    { pushedSamples: 11_239, playedSamples: 43 * 256, restSamples: 231, clearedSamples: 0 },
  ]);
});

test('a whole turn: speech up, two sentences down, every sample accounted for', async (t) => {
  const bench = new Bench({ latencyUs: 4_000, jitterUs: 3_000 });
  const spoken = [sentence('One.', 9), sentence('Two.', 4)];
  await bench.run(async () => {
    const server = await bench.ready();
    bench.onMessage = () => {
      if (server.received.length !== 4) return;
      server.send(
        { type: 'EndVad' },
        { type: 'ASR', text: 'What is new?' },
        ...spoken.flatMap((s) => s.events),
        { type: 'EndResponse' },
      );
    };
    bench.device.hear(babble(1500));
    await bench.pass(8_000_000);
  });
  const server = bench.connections[1]!;
  t.is(server.received[0]!.what, '{"event":"StartChat"}');
  t.true(server.received.slice(1).every(({ what }) => what === 'audio 8192'));
  t.deepEqual(
    bench.all('state').map((s) => s.to),
    ['Listening', 'Waiting', 'Speaking', 'Listening'],
  );
  t.is(bench.all('underrunStart').length, 0);
  t.like(bench.all('drained'), [{ sentence: 1 }, { sentence: 2 }]);

  // What leaves the speaker: the rest of the beep, then both sentences without a gap inside.
  const beepRest = helloSamples([builtInHello(diy)]).subarray(43 * 256);
  const stream = Int16Array.from([...beepRest, ...spoken[0]!.decoded, ...spoken[1]!.decoded]);
  const { samples } = bench.device.speaker();
  let from = 0;
  const [one, two] = bench.all('playStart');
  const [endOne, endTwo] = bench.all('drained');
  for (const [start, end] of [
    [one!, endOne!],
    [two!, endTwo!],
  ] as const) {
    const length = end.position - start.position;
    t.true(
      bytes(samples.slice(start.position, end.position)).equals(
        bytes(stream.slice(from, from + length)),
      ),
    );
    from += length;
  }
  t.is(from, 256 * Math.floor(stream.length / 256));
  // The screen is redrawn for 23.04 ms, then the start message and the first packet take a cycle each.
  const seam = (two!.position - endOne!.position) / 256;
  t.is(seam, Math.ceil(23.04 / 16) + 1);

  await bench.device.close();
  const [finished] = bench.all('finished');
  t.true(conserved(finished!));
  t.is(finished!.pushedSamples, 11_239 + 13 * 1920);
  t.is(finished!.restSamples, (11_239 + 13 * 1920) % 256);
});

test('the user is heard with the audio from before the onset', async (t) => {
  const bench = new Bench();
  let uplink = Buffer.alloc(0);
  const voice = babble(900);
  await bench.run(async () => {
    const server = await bench.ready();
    server.socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) uplink = Buffer.concat([uplink, data]);
    });
    bench.device.hear(voice);
    await bench.pass(3_000_000);
  });
  const [speech] = bench.all('speech');
  t.true(speech!.active);
  const at = uplink.indexOf(bytes(voice.subarray(1, 2000)));
  t.true(at > 0 && at % 2 === 0);
  // Everything in front of it is the silence of the pre-roll.
  t.true(uplink.subarray(0, at - 2).every((byte) => byte === 0));
  t.true(bench.all('upload').every((u) => u.samples === 8192));
});

test('after EndAudio the board reads 32 events and one more, the rest waits on the way', async (t) => {
  const bench = new Bench({ latencyUs: 1_000, jitterUs: 0, windowBytes: 5_760 });
  const first = sentence('Long.', 20);
  const packets = first.events.slice(1, -1);
  const rest: ServerEvent[] = [{ type: 'StartAudio', text: 'Next.' }];
  for (let i = 0; i < 40; i++) rest.push(...packets);
  rest.push({ type: 'EndAudio' });
  let duringPlayback: { received: number; buffered: number } | undefined;
  await bench.run(async () => {
    const server = await bench.ready();
    server.send(...first.events, ...rest, { type: 'EndResponse' });
    await bench.pass(1_500_000);
    duringPlayback = {
      received: bench.all('frameReceived').length,
      buffered: server.socket.bufferedAmount,
    };
    await bench.pass(110_000_000);
  });
  // 22 messages of the first sentence were handled; 32 wait decoded, one more is in the hands of
  // the socket task.
  t.is(duringPlayback!.received, 22 + 32 + 1);
  t.true(duringPlayback!.buffered > 10_000, `${duringPlayback!.buffered} bytes`);
  t.is(bench.all('drained').length, 2);
  t.is(bench.all('underrunStart').length, 0);
  t.is(bench.device.state, 'Listening');
});

test('a server that disappears is noticed by the next utterance, which reboots the board', async (t) => {
  const bench = new Bench();
  await bench.run(async () => {
    const server = await bench.ready();
    server.socket.close(1001);
    await bench.pass(1_000_000);
    t.is(bench.device.state, 'Listening');
    bench.device.hear(babble(800));
    await bench.pass(2_000_000);
  });
  t.like(bench.all('disconnected').at(-1), { connection: 2, code: 1001 });
  t.like(bench.all('reboot'), [{ cause: 'Failed to send message' }]);
  t.true(bench.lines().includes('WebSocket stream ended'));
  const count = bench.events.length;
  bench.device.press('k0', 'short');
  t.is(bench.events.length, count);
  await bench.device.close();
  t.is(bench.events.at(-1)!.type, 'finished');
});

test('a board that cannot connect at boot says so, and K0 restarts it', async (t) => {
  const bench = new Bench();
  const error = await bench.run(() => t.throwsAsync(bench.device.boot()));
  t.like(error, { code: 'DEVICE_UNREACHABLE' });
  t.regex(error!.message, /echokit\.test:8080/);
  bench.device.press('k0', 'short');
  t.deepEqual(
    bench.events.filter((e) => e.type !== 'log').map((e) => e.type),
    ['connecting', 'connectFailed', 'key', 'reboot'],
  );
});

test('K0 with a dead server: three tries, then a reboot', async (t) => {
  const bench = new Bench();
  await bench.run(async () => {
    const listener = await bench.listen();
    await bench.device.boot();
    await listener.close();
    await bench.pass(100_000);
    bench.device.press('k0', 'short');
    await bench.pass(2_000_000);
  });
  const pressedUs = 100_000 + 23_040;
  t.deepEqual(
    bench.all('connectFailed').map((f) => [f.attempt, f.atUs]),
    [
      [1, pressedUs],
      [2, pressedUs + 300_000],
      [3, pressedUs + 600_000],
    ],
  );
  t.like(bench.all('reboot'), [{ atUs: pressedUs + 900_000 }]);
  // The old connection was kept until then.
  t.like(bench.all('disconnected'), [{ connection: 1, code: 1006, atUs: pressedUs + 900_000 }]);
});

test('text, ping, unknown events and broken packets are logged and skipped', async (t) => {
  const bench = new Bench();
  await bench.run(async () => {
    const server = await bench.ready();
    server.socket.send('hello');
    server.socket.ping();
    server.send(
      { type: 'Choices', message: 'Pick', items: ['a'] },
      { type: 'AudioChunkWithVowel', data: Uint8Array.from([0x59, 1, 2, 3]), vowel: 0 },
      { type: 'AudioChunkWithVowel', data: Uint8Array.from([0x5b, 3, 0, 0, 0]), vowel: 0 },
      { type: 'ASR', text: 'still here' },
    );
    await bench.pass(100_000);
  });
  t.is(
    bench.lines().filter((l) => l === 'Unexpected non-binary WebSocket message received').length,
    2,
  );
  const rejected = bench.all('frameRejected');
  t.deepEqual(
    rejected.map((r) => r.frame),
    [1, 2, 3],
  );
  t.regex(rejected[0]!.reason, /^unknown variant `Choices`/);
  t.is(rejected[1]!.reason, 'opus_decode: corrupted stream');
  t.is(rejected[2]!.reason, 'opus_decode: buffer too small');
  t.like(bench.all('frameHandled').at(-1), { connection: 2, frame: 4, event: 'ASR' });
  t.true(bench.lines().includes('Received ASR: "still here"'));
});

test('older firmware asks for what it can play', async (t) => {
  const asked = async (name: string): Promise<readonly [string | undefined, unknown]> => {
    const bench = new Bench(undefined, deviceProfiles[name]);
    await bench.run(async () => {
      await bench.ready();
    });
    const { url, headers } = bench.connections[1]!.request;
    return [url?.split('?')[1], headers['sec-websocket-extensions']];
  };
  const offer = 'permessage-deflate; client_max_window_bits';
  t.deepEqual(await asked('diy@0.2.0'), ['reconnect=true', undefined]);
  t.deepEqual(await asked('diy@0.2.2'), ['reconnect=true&opus=true', offer]);
  t.deepEqual(await asked('diy@0.3.0'), ['reconnect=true&opus=true&vowel=true', offer]);
  t.deepEqual(await asked('diy'), ['reconnect=true&opus=true&vowel=true&stream_asr=true', offer]);
});

test('firmware 0.2.0 plays raw PCM, and a message it cannot decode ends its connection', async (t) => {
  const bench = new Bench(undefined, deviceProfiles['diy@0.2.0']);
  const voice = babble(120);
  await bench.run(async () => {
    const server = await bench.ready();
    server.send(
      { type: 'StartAudio', text: 'Raw.' },
      { type: 'AudioChunk', data: new Uint8Array(bytes(voice)) },
      { type: 'EndAudio' },
    );
    await bench.pass(500_000);
    server.send({ type: 'EndVad' }, { type: 'EndResponse' });
    await bench.pass(500_000);
    // 7 chunks of 256; what does not fill one stays in the rest, behind that of the beep.
    const { samples } = bench.device.speaker();
    const at = samples.findLastIndex((sample) => sample !== 0) + 1;
    const played = samples.slice(at - 1536, at);
    t.true(Buffer.from(bytes(voice)).includes(Buffer.from(bytes(played))));
  });
  const [rejected] = bench.all('frameRejected');
  t.regex(rejected!.reason, /^unknown variant `EndVad`, expected one of/);
  t.like(bench.all('disconnected').at(-1), { connection: 2, code: 1006 });
  t.is(bench.device.state, 'Speaking', 'nothing behind it was read');
});

test('firmware 0.2.2 and 0.3.0 skip an EndVad and go on', async (t) => {
  for (const name of ['diy@0.2.2', 'diy@0.3.0']) {
    const bench = new Bench(undefined, deviceProfiles[name]);
    await bench.run(async () => {
      const server = await bench.ready();
      server.send({ type: 'EndVad' }, { type: 'ASR', text: 'still here' });
      await bench.pass(100_000);
    });
    t.is(bench.all('frameRejected').length, 1);
    t.like(bench.all('frameHandled').at(-1), { event: 'ASR' });
    t.is(bench.all('disconnected').filter(({ connection }) => connection === 2).length, 0);
  }
});

test('a server that accepts compression is taken, until it compresses', async (t) => {
  const bench = new Bench();
  await bench.run(async () => {
    await bench.listen(true);
    await bench.device.boot();
    const server = bench.connections[0]!;
    server.socket.send(encodeServerEvent({ type: 'ASR', text: 'plain' }), { compress: false });
    await bench.pass(100_000);
    t.is(bench.all('frameHandled').length, 1);
    // A binary frame with the bit of a compressed message.
    const stream = (server.socket as unknown as { _socket: { write(data: Buffer): void } })._socket;
    stream.write(Buffer.from([0xc2, 0x01, 0x00]));
    await bench.pass(100_000);
  });
  t.true(bench.lines().includes('WebSocket receive error: invalid extension'));
  t.is(bench.all('disconnected').length, 1);
});

test('the hello file of the server replaces the beep, header included', async (t) => {
  const bench = new Bench();
  const file = new Uint8Array(16_524).map((_, i) => i % 251);
  await bench.run(async () => {
    await bench.listen();
    await bench.device.boot();
    const server = bench.connections[0]!;
    const pieces: ServerEvent[] = [];
    for (let at = 0; at < file.length; at += 2048) {
      pieces.push({ type: 'HelloChunk', data: file.slice(at, at + 2048) });
    }
    t.is(pieces.length, 9);
    server.send({ type: 'HelloStart' }, ...pieces, { type: 'HelloEnd' });
    await bench.pass(100_000);
    bench.device.press('k0', 'short');
    await bench.pass(2_000_000);
  });
  await bench.device.close();
  // EchoKit device protocol reference, section 6.4: 8262 samples are 32 chunks and 70 over.
  t.like(bench.all('finished'), [{ playedSamples: 32 * 256, restSamples: 70 }]);
  const { samples } = bench.device.speaker();
  t.true(bytes(samples).includes(Buffer.from(file.subarray(0, 32 * 512))));
});

test('K0 over an answer clears the queue, and the answer of the old connection is gone', async (t) => {
  const bench = new Bench();
  const long = sentence('A long one.', 30);
  await bench.run(async () => {
    const server = await bench.ready();
    server.send(...long.events, { type: 'EndResponse' });
    await bench.pass(1_000_000);
    bench.device.press('k0', 'short');
    await bench.pass(3_000_000);
  });
  t.is(bench.all('drained').length, 0);
  const [cleared] = bench.all('playerCleared');
  t.is(cleared!.cause, 'k0');
  const [play] = bench.all('playStart');
  const played = (cleared!.atUs - play!.atUs) / 1_000 / 16;
  // The rest of the beep came first: 231 + 57 600 samples are 225 chunks.
  t.is(cleared!.samples, (225 - played) * 256);
  t.is(bench.device.state, 'Listening');
  await bench.device.close();
  t.true(conserved(bench.all('finished')[0]!));
});

for (const ratio of [0.5, 2]) {
  test(`a board switched off at any instant accounts for every sample, download ratio ${ratio}`, async (t) => {
    const spoken = [sentence('One.', 5), sentence('Two.', 3)];
    const profile = { ...diy, constants: { ...diy.constants, downloadRatioAtBoot: ratio } };
    const places = new Set<string>();
    for (let offUs = 0; offUs < 2_200_000; offUs += 157_003) {
      const bench = new Bench(
        { latencyUs: 2_000, jitterUs: 0, bytesPerSecond: 2_000, windowBytes: 300 },
        profile,
      );
      await bench.run(async () => {
        await bench.listen();
        await bench.device.boot();
        const [server] = bench.connections;
        server!.send(...spoken.flatMap((s) => s.events), { type: 'EndResponse' });
        await bench.pass(offUs);
        await bench.device.close();
      });
      const [finished] = bench.all('finished');
      t.true(conserved(finished!), JSON.stringify(finished));
      const taken = bench
        .all('frameHandled')
        .reduce((sum, f) => sum + (f.disposition === 'dropped' ? 0 : (f.samples ?? 0)), 0);
      t.is(finished!.pushedSamples, taken);
      for (const place of [
        'playedSamples',
        'queuedSamples',
        'heldSamples',
        'restSamples',
      ] as const) {
        if (finished![place] > 0) places.add(place);
      }
    }
    t.is(places.has('heldSamples'), ratio > 1);
    t.true(places.has('playedSamples') && places.has('queuedSamples') && places.has('restSamples'));
  });
}

test('barge-in: a voice over the answer silences it and starts a new utterance', async (t) => {
  const bench = new Bench({ latencyUs: 5_000, jitterUs: 0 });
  const long = sentence('A long one.', 60);
  await bench.run(async () => {
    const server = await bench.ready();
    bench.device.press('k0', 'long');
    await bench.pass(1_500_000);
    server.send(...long.events);
    await bench.pass(2_000_000);
    bench.device.hear(babble(1500));
    await bench.pass(3_000_000);
  });
  t.is(bench.connections.length, 3);
  t.is(bench.connections[1]!.closeCode, 1006);
  t.like(bench.all('state').slice(-2), [
    { to: 'Speaking' },
    { to: 'Listening', cause: 'barge-in' },
  ]);
  t.is(bench.all('playerCleared')[0]!.cause, 'barge-in');
  const [chat, first] = bench.connections[2]!.received;
  t.is(chat!.what, '{"event":"StartChat"}');
  t.regex(first!.what, /^audio (9728|10240|10752)$/);
});

test('300 quiet seconds close the session with code 1000', async (t) => {
  const bench = new Bench();
  await bench.run(async () => {
    await bench.ready();
    await bench.pass(310_000_000);
  });
  t.is(bench.connections[1]!.closeCode, 1000);
  t.is(bench.device.state, 'Idle');
  t.true(bench.lines().includes('WebSocket closed by client request'));
});

test('an idle hour passes in a handful of steps', async (t) => {
  const bench = new Bench();
  let alarms = 0;
  const after = bench.clock.after.bind(bench.clock);
  bench.clock.after = (delayUs, callback) => {
    alarms++;
    return after(delayUs, callback);
  };
  await bench.run(async () => {
    await bench.listen();
    await bench.device.boot();
    await bench.pass(3_600_000_000);
  });
  t.true(alarms < 80, `${alarms} alarms`);
  t.is(bench.device.speaker().samples.length, 3_600 * 16_000);
});

test('two runs are the same to the last event', async (t) => {
  const run = async () => {
    const bench = new Bench({ latencyUs: 4_000, jitterUs: 9_000, windowBytes: 5760 });
    await bench.run(async () => {
      const server = await bench.ready();
      bench.device.hear(babble(1200));
      await bench.pass(2_000_000);
      server.send({ type: 'EndVad' }, ...sentence('Yes.', 12).events, { type: 'EndResponse' });
      await bench.pass(4_000_000);
      await bench.device.close();
    });
    return { events: JSON.stringify(bench.events), samples: bench.device.speaker().samples };
  };
  const first = await run();
  const second = await run();
  t.is(first.events, second.events);
  t.true(bytes(first.samples).equals(bytes(second.samples)));
  t.true(first.events.length > 5_000);
});

test('instants never go back', async (t) => {
  const bench = new Bench({ latencyUs: 4_000, jitterUs: 9_000 });
  await bench.run(async () => {
    const server = await bench.ready();
    bench.device.hear(babble(1200));
    await bench.pass(2_000_000);
    server.send({ type: 'EndVad' }, ...sentence('Yes.', 12).events, { type: 'EndResponse' });
    await bench.pass(4_000_000);
  });
  for (const [i, event] of bench.events.entries()) {
    t.true(i === 0 || event.atUs >= bench.events[i - 1]!.atUs, JSON.stringify(event));
  }
});

test('a press from inside an observer is handled after what is going on', async (t) => {
  const bench = new Bench();
  bench.onEvent = (event) => {
    if (event.type === 'boot') bench.device.press('volume-up', 'short');
  };
  await bench.run(async () => {
    await bench.listen();
    await bench.device.boot();
    await bench.pass(50_000);
  });
  t.like(bench.all('volume'), [{ level: 4, gainShift: 1 }]);
});

test('booting twice, after closing, and closing twice', async (t) => {
  const bench = new Bench();
  await bench.run(async () => {
    await bench.listen();
    await bench.device.boot();
    await t.throwsAsync(bench.device.boot(), { code: 'DEVICE_BOOTED_TWICE' });
    await bench.device.close();
    await bench.device.close();
    await t.throwsAsync(bench.device.boot(), { code: 'DEVICE_CLOSED' });
  });
  t.is(bench.all('finished').length, 1);
});

test('a board that is closed during a handshake reports nothing afterwards', async (t) => {
  const bench = new Bench(undefined, { ...diy, quirksOff: ['Q40'] });
  await bench.run(async () => {
    await bench.network.listen({ host: 'echokit.test', port: 8080 }, () => {});
    const booted = t.throwsAsync(bench.device.boot(), { code: 'DEVICE_CLOSED' });
    await bench.pass(1_000_000);
    await bench.device.close();
    await booted;
    await bench.pass(60_000_000);
  });
  t.is(bench.events.at(-1)!.type, 'finished');
});
