// Serves out/ over the TEST FIXTURE (test/fixture): invented data for working on the pages. Not part of the product.
import { startFixture } from '../test/fixture/server.mjs';

const fixture = await startFixture({ port: Number(process.env.PORT ?? 3100), empty: process.env.FIXTURE_EMPTY === '1' });
console.log(`fixture: ${fixture.url}/#token=${fixture.token}`);
