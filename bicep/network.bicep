// Storage and Service Bus by private endpoints, the apps in the network that reaches them.
param unique string
param location string
param tags object
param appNames array
param hostStorageId string
param storageId string
param serviceBusId string

var storageSuffix = environment().suffixes.storage
var zoneNames = ['privatelink.blob.${storageSuffix}', 'privatelink.queue.${storageSuffix}', 'privatelink.table.${storageSuffix}', 'privatelink.servicebus.windows.net']
var endpoints = [
  { name: 'host-blob', resourceId: hostStorageId, group: 'blob', zone: 0 }
  { name: 'host-queue', resourceId: hostStorageId, group: 'queue', zone: 1 }
  { name: 'host-table', resourceId: hostStorageId, group: 'table', zone: 2 }
  { name: 'blob', resourceId: storageId, group: 'blob', zone: 0 }
  { name: 'table', resourceId: storageId, group: 'table', zone: 2 }
  { name: 'bus', resourceId: serviceBusId, group: 'namespace', zone: 3 }
]

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: 'vnet-${unique}'
  location: location
  tags: tags
  properties: { addressSpace: { addressPrefixes: ['10.64.0.0/16'] } }
}

// One after the other, as a network takes one change at a time.
@batchSize(1)
resource appSubnets 'Microsoft.Network/virtualNetworks/subnets@2025-05-01' = [for (app, index) in appNames: {
  parent: network
  name: 'app-${app}'
  properties: {
    addressPrefix: '10.64.${index + 1}.0/24'
    delegations: [{ name: 'flex', properties: { serviceName: 'Microsoft.App/environments' } }]
  }
}]

resource endpointSubnet 'Microsoft.Network/virtualNetworks/subnets@2025-05-01' = {
  parent: network
  name: 'endpoints'
  properties: { addressPrefix: '10.64.0.0/24' }
  dependsOn: [appSubnets]
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [for zone in zoneNames: {
  name: zone
  location: 'global'
  tags: tags
}]

resource zoneLinks 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (zone, index) in zoneNames: {
  parent: zones[index]
  name: 'link-${unique}'
  location: 'global'
  tags: tags
  properties: { registrationEnabled: false, virtualNetwork: { id: network.id } }
}]

resource privateEndpoints 'Microsoft.Network/privateEndpoints@2025-05-01' = [for endpoint in endpoints: {
  name: 'pep-${endpoint.name}-${unique}'
  location: location
  tags: tags
  properties: {
    subnet: { id: endpointSubnet.id }
    privateLinkServiceConnections: [
      {
        name: endpoint.name
        properties: { privateLinkServiceId: endpoint.resourceId, groupIds: [endpoint.group] }
      }
    ]
  }
}]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [for (endpoint, index) in endpoints: {
  parent: privateEndpoints[index]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [{ name: endpoint.name, properties: { privateDnsZoneId: zones[endpoint.zone].id } }]
  }
}]

output appSubnetIds array = [for (app, index) in appNames: appSubnets[index].id]
