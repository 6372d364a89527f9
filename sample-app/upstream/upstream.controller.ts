import { Body, Controller, Get, NotFoundException, Param, Put } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { FaultsDto } from './faults.dto.js';
import { REGIONS, type Faults, type Region } from './faults.js';
import { UpstreamClient } from './upstream.client.js';

/** Makes the upstream ill and well again. */
@ApiTags('upstream')
@Controller('upstream')
export class UpstreamController {
  constructor(private readonly upstream: UpstreamClient) {}

  @Get()
  look() {
    return this.upstream.faults();
  }

  @Put()
  change(@Body() faults: FaultsDto): Promise<Faults> {
    return this.changeRegion('primary', faults);
  }

  @Get(':region')
  lookAt(@Param('region') region: string) {
    return this.upstream.faults(regionOf(region));
  }

  @Put(':region')
  async changeRegion(@Param('region') region: string, @Body() faults: FaultsDto): Promise<Faults> {
    return (await this.upstream.faults(regionOf(region), faults)).faults;
  }
}

function regionOf(name: string): Region {
  const region = REGIONS.find((each) => each === name);
  if (region === undefined) {
    throw new NotFoundException(`There is no region "${name}"; there are ${REGIONS.join(', ')}.`);
  }
  return region;
}
