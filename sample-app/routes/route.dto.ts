import { ApiProperty, PickType } from '@nestjs/swagger';
import { IsUrl, Matches } from 'class-validator';

const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/i;
const message = ({ property }: { property: string }) =>
  `${property} must be 1 to 63 letters, digits, ".", "_" or "-", and begin with a letter or a digit`;

/** A route, as a client sends it. */
export class NewRouteDto {
  @ApiProperty({ example: 'acme' })
  @Matches(NAME, { message })
  readonly tenant!: string;

  @ApiProperty({ example: 'checkout' })
  @Matches(NAME, { message })
  readonly service!: string;

  @ApiProperty({ example: 'prod' })
  @Matches(NAME, { message })
  readonly env!: string;

  @ApiProperty({ example: 'v3' })
  @Matches(NAME, { message })
  readonly version!: string;

  @ApiProperty({ example: 'https://checkout.acme.example/v3' })
  @IsUrl(
    { protocols: ['http', 'https'], require_protocol: true, require_tld: false },
    { message: 'url must be an http or https URL' },
  )
  readonly url!: string;
}

/** What a route is found by, in a query or a body. */
export class RouteKeyDto extends PickType(NewRouteDto, ['tenant', 'service', 'env', 'version'] as const) {}

/** What a client learns. */
export class ResolvedRouteDto extends NewRouteDto {
  @ApiProperty({ enum: ['replica', 'cache_fallback'], required: false })
  readonly source?: 'replica' | 'cache_fallback';
}
