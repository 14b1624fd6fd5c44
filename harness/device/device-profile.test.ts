import test from 'ava';
import { deviceProfiles, diy } from './device-profile.ts';
import { firmwareGenerations, newestFirmware } from './firmware-generation.ts';

test('every board runs every firmware, and a bare name means the newest', (t) => {
  t.deepEqual(Object.keys(deviceProfiles), [
    'diy',
    'box',
    'cube2',
    'diy@0.3.0',
    'box@0.3.0',
    'cube2@0.3.0',
    'diy@0.2.2',
    'box@0.2.2',
    'cube2@0.2.2',
    'diy@0.2.0',
    'box@0.2.0',
    'cube2@0.2.0',
  ]);
  t.is(newestFirmware.version, '0.3.2');
  t.is(diy.firmware, newestFirmware);
  t.is(deviceProfiles['box@0.2.2']!.firmware, firmwareGenerations['0.2.2']!);
  for (const [name, profile] of Object.entries(deviceProfiles)) t.is(profile.name, name);
});

test('every constant of every board and every trait of every firmware names its source', (t) => {
  for (const { name, constants, sources } of Object.values(deviceProfiles)) {
    t.deepEqual(Object.keys(sources).sort(), Object.keys(constants).sort(), name);
    t.true(
      Object.values(sources).every((source) => /\d\.\d|chosen/.test(source)),
      name,
    );
  }
  for (const { sources, version, ...traits } of Object.values(firmwareGenerations)) {
    t.deepEqual(Object.keys(sources).sort(), Object.keys(traits).sort(), version);
  }
});

test('no profile claims to be calibrated: no board has confirmed one yet', (t) => {
  t.false(Object.values(deviceProfiles).some((profile) => profile.calibrated));
});
