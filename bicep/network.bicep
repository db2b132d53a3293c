// Storage and Service Bus by private endpoints, the apps in the network that reaches them.
param unique string
param location string
param tags object
param appNames array
param storageId string
param serviceBusId string

var storageSuffix = environment().suffixes.storage
var endpoints = [
  { name: 'blob', resourceId: storageId, group: 'blob', zone: 'privatelink.blob.${storageSuffix}' }
  { name: 'queue', resourceId: storageId, group: 'queue', zone: 'privatelink.queue.${storageSuffix}' }
  { name: 'table', resourceId: storageId, group: 'table', zone: 'privatelink.table.${storageSuffix}' }
  { name: 'bus', resourceId: serviceBusId, group: 'namespace', zone: 'privatelink.servicebus.windows.net' }
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

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [for endpoint in endpoints: {
  name: endpoint.zone
  location: 'global'
  tags: tags
}]

resource zoneLinks 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (endpoint, index) in endpoints: {
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
    privateDnsZoneConfigs: [{ name: endpoint.name, properties: { privateDnsZoneId: zones[index].id } }]
  }
}]

output appSubnetIds array = [for (app, index) in appNames: appSubnets[index].id]
